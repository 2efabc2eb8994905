-- Reads a value that a plugin keeps.
--
-- KEYS as in `plugin_set.lua`. ARGV: 1 the key, 2 '1' for the value too.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not ends or (ends ~= 'inf' and tonumber(ends) <= now) then return {'none'} end
if ARGV[2] ~= '1' then return {'there'} end
return {'there', redis.call('HGET', KEYS[1], 'k' .. ARGV[1])}
