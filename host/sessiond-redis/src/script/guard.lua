-- What must hold for a write beside the history. `session.lua` comes before.
--
-- ARGV as in `session.lua`.

local session = redis.call('HMGET', KEYS[1], '#g', '#n', '#r')
local generation, numbers, rare = session[1], session[2], session[3]
if not generation then return {'missing'} end
if ARGV[8] ~= '' and ARGV[8] ~= generation then return {'generation', generation} end
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local leased = barred(rare, time)
if leased then return leased end
local n = {struct.unpack(NUMBERS, numbers)}
if ARGV[9] ~= '' and tonumber(ARGV[9]) ~= n[1] then return {'revision', generation, n[1]} end

-- The parts of '#r': a time to live, the end of a lease and its token, and names of tracks.
local own, ends, token, tracks = '-', '0', '-', ''
if rare then own, ends, token, tracks = string.match(rare, '^(%S+) (%S+) (%S+)(.*)$') end

-- Puts the parts together again, or removes the field when there is nothing to say.
local function set_rare()
  if own == '-' and token == '-' and tracks == '' then
    redis.call('HDEL', KEYS[1], '#r')
    rare = nil
  else
    rare = own .. ' ' .. ends .. ' ' .. token .. tracks
    redis.call('HSET', KEYS[1], '#r', rare)
  end
end

