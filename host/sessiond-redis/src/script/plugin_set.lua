-- Sets a value that a plugin keeps, if its bucket may hold it.
--
-- KEYS: 1 hash: 'k' and a key to its value, 'b' to the bytes of all of them; 2 sorted set: the keys by
--       the millisecond of their end.
-- ARGV: 1 the key, 2 the value, 3 the most bytes, 4 the most keys, 5 the ttl in ms or 0.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key, value = ARGV[1], ARGV[2]
local bytes = tonumber(redis.call('HGET', KEYS[1], 'b') or '0')
local count = redis.call('ZCARD', KEYS[2])
local own = tonumber(redis.call('ZSCORE', KEYS[2], key))

-- What is over makes room: some of it each time, and all of it before the bucket is said to be full.
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)
local gone = {}
local function forget(keys)
  for _, name in ipairs(keys) do
    if name ~= key then
      gone[#gone + 1] = name
      bytes = bytes - #name - redis.call('HSTRLEN', KEYS[1], 'k' .. name)
      count = count - 1
    end
  end
end
forget(over)
local function held()
  local old = own and #key + redis.call('HSTRLEN', KEYS[1], 'k' .. key) or 0
  return bytes - old + #key + #value, count + (own and 0 or 1)
end
local all, number = held()
if all > tonumber(ARGV[3]) or number > tonumber(ARGV[4]) then
  if #over == 100 then
    forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 100, -1))
    all, number = held()
  end
  if all > tonumber(ARGV[3]) or number > tonumber(ARGV[4]) then return {'over'} end
end

local ttl = tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'k' .. key, value, 'b', string.format('%.0f', all))
redis.call('ZADD', KEYS[2], ttl > 0 and string.format('%.0f', now + ttl) or '+inf', key)
for _, name in ipairs(gone) do
  redis.call('HDEL', KEYS[1], 'k' .. name)
  redis.call('ZREM', KEYS[2], name)
end
-- The bucket lives as long as the longest of its values.
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
for at = 1, 2 do
  if last == 'inf' then
    redis.call('PERSIST', KEYS[at])
  else
    redis.call('PEXPIREAT', KEYS[at], string.format('%.0f', last))
  end
end
return {'set'}
