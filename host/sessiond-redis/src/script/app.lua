-- Changes an app's state. A change never overwrites a later one, and what is removed leaves its
-- time.
--
-- KEYS: 1 the app's state.
-- ARGV: 1 app state ttl in ms or 0; then, for each change, its time in microseconds ('' for now, which
--       is later than all before), the key, and the value ('' to remove it).

local now = nil
for i = 2, #ARGV, 3 do
  local stamp, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local there = redis.call('HGET', KEYS[1], key)
  local before = there and string.match(there, '^%d+') or '0'
  if stamp == '' then
    if not now then
      local time = redis.call('TIME')
      now = string.format('%.0f', time[1] * 1000000 + time[2])
    end
    stamp = tonumber(before) > tonumber(now) and before or now
  end
  if tonumber(before) <= tonumber(stamp) then
    redis.call('HSET', KEYS[1], key, stamp .. ' ' .. value)
  end
end
if ARGV[1] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return {'done'}
