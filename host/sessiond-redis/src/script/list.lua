-- Lists a user's sessions, newest first, and forgets those that are over. `forget_expired.lua`
-- comes before.
--
-- KEYS: 1 sessions by update, 2 sessions by expiry.
-- ARGV: 1 what the keys of the sessions begin with, 2 where to begin ('+inf' or '(' and a time),
--       3 how many.
-- The reply: whether the end was reached, where to go on, the time in ms, and for each session its
-- name in keys, generation, numbers, and time to live.

local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
forget_expired(KEYS[1], KEYS[2], ARGV[1], ms)

local wanted = tonumber(ARGV[3])
local found, dead, over, from = 0, 0, 0, ARGV[2]
local reply = {over, from, ms}
-- Sessions that are over and still listed are few; if not, the caller comes again.
while over == 0 and found < wanted and dead < 500 do
  local ask = math.min(wanted - found, 100)
  local names =
    redis.call('ZREVRANGEBYSCORE', KEYS[1], from, '-inf', 'WITHSCORES', 'LIMIT', 0, ask)
  if #names < 2 * ask then over = 1 end
  for i = 1, #names, 2 do
    local hash = ARGV[1] .. names[i]
    local session = redis.call('HMGET', hash, '#g', '#n')
    if session[1] then
      found = found + 1
      reply[#reply + 1] = names[i]
      reply[#reply + 1] = session[1]
      reply[#reply + 1] = session[2]
      reply[#reply + 1] = redis.call('PTTL', hash)
    else
      dead = dead + 1
      redis.call('ZREM', KEYS[1], names[i])
      redis.call('ZREM', KEYS[2], names[i])
    end
    from = '(' .. names[i + 1]
  end
end
reply[1] = over
reply[2] = from
return reply
