-- Takes entries out of a session's history, as it was planned. `session.lua` comes before.
--
-- ARGV as in `session.lua`: generation and revision are those of the plan; then 14 the sequence that
-- is shown first, 15 that of the newest user's turn or 0, 16 events, tokens and turns, and the same as
-- summarized, as doubles, 17 the records of open calls, or '=' for those that there are from the first sequence
-- on; then three lists, each after its length: sequences of entries that go and what is left in
-- their place, fields and values to set in the session's hash, fields to remove there.

local session = redis.call('HMGET', KEYS[1], '#g', '#n', '#o', '#r')
local generation, numbers, open, rare = session[1], session[2], session[3], session[4]
if not generation then return {'missing'} end
if ARGV[8] ~= generation then return {'generation', generation} end
local time = redis.call('TIME')
local leased = barred(rare, time)
if leased then return leased end

local n = {struct.unpack(NUMBERS, numbers)}
if tonumber(ARGV[9]) ~= n[1] then return {'revision', generation, n[1]} end

local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = ttl_of(rare)
local first = tonumber(ARGV[14])
local base, endless = n[4], n[6] == 0
n[1], n[3], n[4], n[7] = n[1] + 1, first, math.max(base, first), tonumber(ARGV[15])
n[5], n[6] = math.max(time[1] * 1000000 + time[2], n[5] + 1), ttl > 0 and ms + ttl or 0
n[12], n[13] = n[12] + 1, math.max(n[13], first - 1)
n[8], n[9], n[10], n[15], n[16], n[17] = struct.unpack('<dddddd', ARGV[16])
numbers = struct.pack(NUMBERS, unpack(n, 1, 17))
redis.call('HSET', KEYS[1], '#n', numbers)

local at = 18
local stop = at + ARGV[at]
for i = at + 1, stop, 2 do redis.call('LSET', KEYS[2], ARGV[i] - base, ARGV[i + 1]) end
change('HDEL', KEYS[1], change('HSET', KEYS[1], stop + 1))
if first > base then redis.call('LTRIM', KEYS[2], first - base, -1) end

local calls = ARGV[17]
if calls == '=' then
  calls = ''
  for call, sequence in string.gmatch(open or '', '(%x+:(%d+):%d+;)') do
    if tonumber(sequence) >= first then calls = calls .. call end
  end
end
if calls ~= '' then
  redis.call('HSET', KEYS[1], '#o', calls)
elseif open then
  redis.call('HDEL', KEYS[1], '#o')
end

redis.call('ZADD', KEYS[6], string.format('%d', n[5]), ARGV[1])
local left = keep_session(rare, ttl, ms, endless)
tell(ARGV[13], 'e', generation, n[2])
return {'done', generation, numbers, ms, left}
