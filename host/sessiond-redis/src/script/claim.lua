-- Takes the claim of a summary job, or makes it last longer: field 'w' and the filter key, with the
-- token and the millisecond of its end.
--
-- KEYS: 1 session.
-- ARGV: 1 generation, 2 filter key, 3 token, 4 how long it lasts in ms.

local session = redis.call('HMGET', KEYS[1], '#g', 'w' .. ARGV[2])
if not session[1] then return {'missing'} end
if session[1] ~= ARGV[1] then return {'generation', session[1]} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if session[2] then
  local token, ends = string.match(session[2], '^(%S+) (%d+)$')
  if token ~= ARGV[3] and tonumber(ends) > now then return {'held'} end
end
redis.call('HSET', KEYS[1], 'w' .. ARGV[2], ARGV[3] .. ' ' .. string.format('%.0f', now + ARGV[4]))
return {'yes'}
