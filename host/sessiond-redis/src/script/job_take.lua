-- Takes the next summary job: one that a daemon has left behind, or the one that has waited longest.
--
-- KEYS as in `job_put.lua`. ARGV: 1 the consumer who asks, 2 after how many ms without a sign of life
-- a job counts as left behind.

if redis.call('EXISTS', KEYS[1]) == 0 or #redis.call('XINFO', 'GROUPS', KEYS[1]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'g', '0', 'MKSTREAM')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, subject in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  local job = redis.call('HGET', KEYS[2], subject)
  if job then
    redis.call('HSET', KEYS[2], subject, '')
    redis.call('XADD', KEYS[1], '*', 's', subject, 'j', job)
  end
  redis.call('ZREM', KEYS[3], subject)
end

local entry
local left = redis.call('XPENDING', KEYS[1], 'g', 'IDLE', ARGV[2], '-', '+', 1)[1]
if left then
  entry = redis.call('XCLAIM', KEYS[1], 'g', ARGV[1], ARGV[2], left[1])[1]
  -- Somebody has removed the entry: then nobody can do it.
  if not entry then redis.call('XACK', KEYS[1], 'g', left[1]) end
else
  local read = redis.call('XREADGROUP', 'GROUP', 'g', ARGV[1], 'COUNT', 1, 'STREAMS', KEYS[1], '>')
  if read then
    entry = read[1][2][1]
    redis.call('HDEL', KEYS[2], entry[2][2])
  end
end
local waiting = redis.call('HLEN', KEYS[2])
if not entry then return {'none', waiting} end
local since = tonumber(string.match(entry[1], '^%d+'))
return {'job', waiting, entry[1], entry[2][4], math.max(0, now - since)}
