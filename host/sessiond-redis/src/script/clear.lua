-- Clears what a session's outbox held, once it is in the app's state.
--
-- KEYS: 1 session. ARGV: the times of the appends that left it.

for i = 1, #ARGV do
  redis.call('HDEL', KEYS[1], 'x' .. ARGV[i])
end
local pending = redis.call('HGET', KEYS[1], '#p')
for i = 1, #ARGV do
  if pending == ARGV[i] then redis.call('HDEL', KEYS[1], '#p') end
end
return {'done'}
