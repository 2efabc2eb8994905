-- Puts a whole session where none is. Its entries, ids and tracks are under other names already, and
-- get their own here. `session.lua`, `first_update.lua` and `forget_expired.lua` come before.
--
-- KEYS as in `session.lua`, and then 8 the entries, 9 the ids, as they are named so far.
-- ARGV as in `session.lua`; then 14 the numbers, but for the end (times later than now count as now),
-- 15 number of entries, and a list of fields and values to set in the session's hash, after its
-- length; then the names of tracks, each after the key that it has so far.

if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end
if redis.call('LLEN', KEYS[8]) ~= tonumber(ARGV[15]) then return {'lost'} end

local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local n = {struct.unpack(NUMBERS, ARGV[14])}
local now = first_update(time[1] * 1000000 + time[2])
local stamp = string.format('%d', now)
n[14] = math.min(n[14], now)
n[5] = math.min(n[5], now)
while redis.call('ZCOUNT', KEYS[6], string.format('%d', n[5]), string.format('%d', n[5])) > 0 do
  n[5] = n[5] + 1
end
local at = 16
local rare
for i = at + 1, at + ARGV[at], 2 do
  if ARGV[i] == '#r' then rare = ARGV[i + 1] end
end
local ttl = ttl_of(rare)
n[6] = ttl > 0 and ms + ttl or 0
local numbers = struct.pack(NUMBERS, unpack(n, 1, 17))
redis.call('HSET', KEYS[1], '#n', numbers, '#g', stamp)
at = change('HSET', KEYS[1], at)
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
if redis.call('EXISTS', KEYS[8]) == 1 then redis.call('RENAME', KEYS[8], KEYS[2]) end
if redis.call('EXISTS', KEYS[9]) == 1 then redis.call('RENAME', KEYS[9], KEYS[3]) end
for i = at, #ARGV, 2 do redis.call('RENAME', ARGV[i], track_key(ARGV[i + 1])) end
for k = 2, 3 do redis.call('PERSIST', KEYS[k]) end
for i = at, #ARGV, 2 do
  if ARGV[12] == '' then
    redis.call('PERSIST', track_key(ARGV[i + 1]))
  else
    redis.call('PEXPIRE', track_key(ARGV[i + 1]), ttl > 0 and math.min(ttl, ARGV[12]) or ARGV[12])
  end
end
if ARGV[4] == '0' then
  redis.call('PERSIST', KEYS[5])
else
  redis.call('PEXPIRE', KEYS[5], ARGV[4])
end
redis.call('ZADD', KEYS[6], string.format('%d', n[5]), ARGV[1])
local left = keep_session(rare, ttl, ms, true)
forget_expired(KEYS[6], KEYS[7], string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1]), ms)
tell(ARGV[13], 'c', stamp, n[2])
return {'done', stamp, numbers, ms, left}
