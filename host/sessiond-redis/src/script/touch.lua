-- Begins a session's time anew, for a read. `session.lua` comes before.
--
-- ARGV as in `session.lua`.

local rare = redis.call('HGET', KEYS[1], '#r')
if redis.call('EXISTS', KEYS[1]) == 1 then
  local time = redis.call('TIME')
  keep_session(rare, ttl_of(rare), time[1] * 1000 + math.floor(time[2] / 1000), false)
end
return {'done'}
