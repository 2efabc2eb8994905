-- The first half of a creation. `forget_expired.lua` comes before, and `write.lua` follows.
--
-- KEYS and ARGV as in `append.lua`, but 8, 9 and 10 are not used, and there are no ids nor digests.

if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end

local generation, numbers, pending, open = nil, '1 0 1 1 0 0 0 0 0 0 0 0 0 0 0', nil, nil
local fresh = true
local count = tonumber(ARGV[7])
local earlier, unseen = {}, count
local at = 11
