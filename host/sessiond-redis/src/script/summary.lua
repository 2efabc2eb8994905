-- Stores a summary, unless one reaches as far. It lives as long as its session.
--
-- KEYS: 1 session.
-- ARGV: 1 generation, 2 filter key, 3 boundary, 4 the summary, 5 what is summarized now, or ''.

local session = redis.call('HMGET', KEYS[1], '#g', '#n', 'b' .. ARGV[2])
if not session[1] then return {'missing'} end
if session[1] ~= ARGV[1] then return {'generation', session[1]} end
if session[3] and tonumber(session[3]) >= tonumber(ARGV[3]) then return {'late'} end

-- The first of the numbers is the revision, and the last three are what is summarized.
local revision, rest, summarized = string.match(session[2], '^(%d+)( .*)( %d+ %d+ %d+)$')
if ARGV[5] ~= '' then summarized = ' ' .. ARGV[5] end
redis.call('HSET', KEYS[1], '#n', (revision + 1) .. rest .. summarized,
  'm' .. ARGV[2], ARGV[4], 'b' .. ARGV[2], ARGV[3])
return {'done'}
