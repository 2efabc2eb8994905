-- Gives the claim of a summary job back, unless somebody else has it.
--
-- KEYS: 1 session.
-- ARGV: 1 filter key, 2 token.

local held = redis.call('HGET', KEYS[1], 'w' .. ARGV[1])
if held and string.match(held, '^(%S+) ') == ARGV[2] then
  redis.call('HDEL', KEYS[1], 'w' .. ARGV[1])
end
return {'done'}
