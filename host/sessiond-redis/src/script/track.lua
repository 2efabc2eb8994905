-- Appends to a track. `session.lua` and `guard.lua` come before.
--
-- What is stored of an event is its sequence, the time in ms, and the text. The list has no holes:
-- field 'k' and the track's name in the session's hash has the sequence of its last event and of its
-- first.
--
-- ARGV as in `session.lua`: 7 is the number of events; then 14 the track, 15 the most tracks; then
-- the ids as they stand among those of the session, then the digests, then the texts.

local limit, count = tonumber(ARGV[2]), tonumber(ARGV[7])
local track = ARGV[14]
local earlier, unseen, clash = look_up(16, count)
if clash then return {'conflict', clash} end
if ARGV[10] == '1' then return {'conflict', count + 1} end

-- A track whose time was over is gone, and begins again.
local key = track_key(track)
local live, known, listed = '', 0, false
for name in string.gmatch(tracks, '%S+') do
  local exists = redis.call('EXISTS', track_key(name)) == 1
  if name == track then listed = exists end
  if exists then
    live = live .. ' ' .. name
    known = known + 1
  elseif name ~= track then
    redis.call('HDEL', KEYS[1], 'k' .. name)
  end
end
local before = tracks
tracks = live
local last, base = 0, 1
if listed then
  last, base = string.match(redis.call('HGET', KEYS[1], 'k' .. track), '^(%d+) (%d+)$')
  last, base = tonumber(last), tonumber(base)
elseif known >= tonumber(ARGV[15]) then
  return {'full', known}
else
  tracks = tracks .. ' ' .. track
end

local held = n[11]
n[11] = held_with(held, unseen, limit)
numbers = struct.pack(NUMBERS, unpack(n, 1, 17))
local sequence = last
local stays = limit and math.max(base, last + unseen + 1 - limit) or base
redis.call('HSET', KEYS[1], '#n', numbers, 'k' .. track,
  string.format('%d %d', last + unseen, stays))
if not listed then redis.call('UNLINK', key) end
if tracks ~= before then set_rare() end

local reply = {'done', generation, numbers, ms, -1}
local entries, remembered = {}, {}
for k = 1, count do
  if earlier[k] then
    reply[5 + k] = '=' .. earlier[k]
  else
    sequence = sequence + 1
    reply[5 + k] = sequence
    entries[#entries + 1] =
      sequence .. ' ' .. string.format('%d', ms) .. ':' .. ARGV[15 + 2 * count + k]
    remembered[#remembered + 1] = ARGV[15 + k]
    remembered[#remembered + 1] = ARGV[15 + count + k] .. 's' .. struct.pack('<I6', sequence)
  end
end
remember(remembered, held, limit)
call_all('RPUSH', key, entries)
if stays > base then redis.call('LTRIM', key, stays - base, -1) end

local ttl = ttl_of(rare)
reply[5] = keep_session(rare, ttl, ms, false)
if ARGV[12] ~= '' then
  local lives = tonumber(ARGV[12])
  if ttl > 0 and (ttl < lives or lives == 0) then lives = ttl end
  if lives > 0 then
    redis.call('PEXPIRE', key, lives)
  else
    redis.call('PERSIST', key)
  end
end
return reply
