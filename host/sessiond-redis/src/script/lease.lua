-- Takes a lease, makes it last longer, or ends it. `session.lua` and `guard.lua` come before.
--
-- ARGV as in `session.lua`; then 13 the token of the lease, 14 how long it lasts in ms, 15 who holds
-- it. 0 ms: it ends.

if ARGV[14] == '0' then
  ends, token = '0', '-'
  redis.call('HDEL', KEYS[1], '#h')
else
  ends, token = string.format('%d', ms + ARGV[14]), ARGV[13]
  redis.call('HSET', KEYS[1], '#h', ARGV[15])
end
set_rare()
return {'done', ends}
