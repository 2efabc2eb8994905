-- Removes a track. `session.lua` and `guard.lua` come before.
--
-- ARGV as in `session.lua`; then 14 the track.

local rest = ''
for name in string.gmatch(tracks, '%S+') do
  if name ~= ARGV[14] then rest = rest .. ' ' .. name end
end
tracks = rest
redis.call('UNLINK', track_key(ARGV[14]))
redis.call('HDEL', KEYS[1], 'k' .. ARGV[14])
set_rare()
return {'done'}
