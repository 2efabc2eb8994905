-- Forgets when keys of an app's state were removed, if no earlier change can still come.
--
-- KEYS: 1 the app's state, 2 sessions with an outbox. The reply tells whether none had one.

if redis.call('EXISTS', KEYS[2]) == 1 then return {'pending'} end
local state = redis.call('HGETALL', KEYS[1])
for i = 1, #state, 2 do
  if string.match(state[i + 1], '^%d+ $') then redis.call('HDEL', KEYS[1], state[i]) end
end
return {'done'}
