-- Deletes a session. Nothing here needs memory, so it works when there is none. `session.lua` comes
-- before.
--
-- ARGV: 1 the session's name in keys.

local rare = redis.call('HGET', KEYS[1], '#r')
if rare then
  for track in tracks_of(rare) do
    redis.call('UNLINK', track_key(track))
  end
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
tell(ARGV[13], 'd', 0, 0)
return {'done'}
