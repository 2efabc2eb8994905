-- Removes a value that a plugin keeps.
--
-- KEYS as in `plugin_set.lua`. ARGV: 1 the key.

if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {'none'} end
local size = #ARGV[1] + redis.call('HSTRLEN', KEYS[1], 'k' .. ARGV[1])
-- First what Redis allows when its memory is full: removing is what helps then.
redis.call('HDEL', KEYS[1], 'k' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'b', -size)
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('UNLINK', KEYS[1]) end
return {'done'}
