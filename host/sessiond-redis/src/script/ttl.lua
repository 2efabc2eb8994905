-- Gives a session a time to live of its own. `session.lua` and `guard.lua` come before.
--
-- ARGV as in `session.lua`; then 14 that time in ms, 0 for no end, '-' for what all have.

own = ARGV[14]
set_rare()
local ttl = ttl_of(rare)
n[6] = ttl > 0 and ms + ttl or 0
numbers = struct.pack(NUMBERS, unpack(n, 1, 17))
redis.call('HSET', KEYS[1], '#n', numbers)
local left = keep_session(rare, ttl, ms, true)
if ARGV[12] ~= '' and ttl > 0 then
  -- A track has a time of its own, but never outlives its session.
  for track in string.gmatch(tracks, '%S+') do
    local rest = redis.call('PTTL', track_key(track))
    if rest > ttl then redis.call('PEXPIRE', track_key(track), ttl) end
  end
end
return {'done', generation, numbers, ms, left}
