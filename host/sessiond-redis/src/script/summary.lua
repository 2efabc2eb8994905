-- Stores a summary, unless one reaches as far, or the history was edited since it was read. It lives
-- as long as its session. `numbers.lua` comes before.
--
-- KEYS: 1 session.
-- ARGV: 1 generation, 2 filter key, 3 boundary, 4 the summary, 5 what is summarized now, or '', 6 how
--       often the history had been edited, 7 the token of the job's claim, or '', 8 the channel for those who watch.

local session = redis.call('HMGET', KEYS[1], '#g', '#n', 'b' .. ARGV[2], 'w' .. ARGV[2])
if not session[1] then return {'missing'} end
if session[1] ~= ARGV[1] then return {'generation', session[1]} end
if ARGV[7] ~= '' and string.match(session[4] or '', '^(%S+) ') ~= ARGV[7] then return {'lost'} end

local n = {struct.unpack(NUMBERS, session[2])}
if n[12] ~= tonumber(ARGV[6]) then return {'edited'} end
if session[3] and tonumber(session[3]) >= tonumber(ARGV[3]) then return {'late'} end
n[1] = n[1] + 1
if ARGV[5] ~= '' then n[15], n[16], n[17] = struct.unpack('<ddd', ARGV[5]) end
redis.call('HSET', KEYS[1], '#n', struct.pack(NUMBERS, unpack(n, 1, 17)),
  'm' .. ARGV[2], ARGV[4], 'b' .. ARGV[2], ARGV[3])
tell(ARGV[8], 's', ARGV[1], n[2])
return {'done'}
