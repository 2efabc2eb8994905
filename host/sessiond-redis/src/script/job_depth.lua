-- Tells how much is in the queue of summary jobs, and forgets consumers of whom nothing was heard for
-- ten minutes and who have left nothing behind.
--
-- KEYS as in `job_put.lua`. ARGV: 1 a consumer who leaves, or ''.

local waiting, running, oldest = redis.call('HLEN', KEYS[2]), 0, -1
if redis.call('EXISTS', KEYS[1]) == 0 then return {waiting, running, oldest} end
local group = redis.call('XINFO', 'GROUPS', KEYS[1])[1]
local last = '0-0'
if group then
  for at = 1, #group, 2 do
    if group[at] == 'last-delivered-id' then last = group[at + 1] end
  end
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], 'g')) do
    local is = {}
    for at = 1, #consumer, 2 do is[consumer[at]] = consumer[at + 1] end
    running = running + is.pending
    if is.pending == 0 and (is.idle > 600000 or is.name == ARGV[1]) then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'g', is.name)
    end
  end
end
local first = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)[1]
if first then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  oldest = math.max(0, now - tonumber(string.match(first[1], '^%d+')))
end
return {waiting, running, oldest}
