-- Deletes a session. Nothing here needs memory, so it works when there is none.
--
-- KEYS: 1 session, 2 entries, 3 ids now, 4 ids before, 5 sessions by update, 6 sessions by expiry.
-- ARGV: 1 the session's name in keys.

redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
return {'done'}
