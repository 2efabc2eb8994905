-- Says that a summary job is still being done, unless another consumer has it by now.
--
-- KEYS: 1 stream. ARGV: 1 consumer, 2 id of the entry.

local held = redis.call('XPENDING', KEYS[1], 'g', ARGV[2], ARGV[2], 1)[1]
if not held or held[2] ~= ARGV[1] then return {'no'} end
redis.call('XCLAIM', KEYS[1], 'g', ARGV[1], 0, ARGV[2], 'JUSTID')
return {'yes'}
