-- Takes a lease, makes it last longer, or ends it. `session.lua` and `guard.lua` come before.
--
-- ARGV as in `session.lua`; then 14 the token of the lease, 15 how long it lasts in ms, 16 who holds
-- it. 0 ms: it ends.

if ARGV[15] == '0' then
  ends, token = '0', '-'
  redis.call('HDEL', KEYS[1], '#h')
else
  ends, token = string.format('%d', ms + ARGV[15]), ARGV[14]
  redis.call('HSET', KEYS[1], '#h', ARGV[16])
end
set_rare()
return {'done', ends}
