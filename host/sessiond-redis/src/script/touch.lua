-- Keeps the lists of a user's sessions, after reads have moved the end of one. `keep_lists.lua`
-- comes before.
--
-- KEYS: 1 sessions by update, 2 sessions by expiry. ARGV: 1 the session ttl in ms.

if redis.call('EXISTS', KEYS[1]) == 1 then
  local time = redis.call('TIME')
  keep_lists(KEYS[1], KEYS[2], tonumber(ARGV[1]), time[1] * 1000 + math.floor(time[2] / 1000))
end
return {'done'}
