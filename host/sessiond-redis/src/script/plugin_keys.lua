-- A page of the keys that a plugin keeps.
--
-- KEYS as in `plugin_set.lua`. ARGV: 1 the cursor, 2 about how many.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local reply = {found[1]}
for at = 1, #found[2], 2 do
  local ends = found[2][at + 1]
  if ends == 'inf' or tonumber(ends) > now then reply[#reply + 1] = found[2][at] end
end
return reply
