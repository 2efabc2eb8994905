-- Lets the lists of a user's sessions live at least as long as one that has just got its time to
-- live. They get twice as much, so that this is seldom to be done; a list that holds a session
-- without an end has none.
local function keep_lists(by_update, by_expiry, ttl, ms)
  local left = redis.call('PTTL', by_update)
  if left == -1 then
    redis.call('PEXPIREAT', by_expiry, ms + 2 * ttl)
    if redis.call('ZCARD', by_update) == redis.call('ZCARD', by_expiry) then
      redis.call('PEXPIREAT', by_update, ms + 2 * ttl)
    end
  elseif left < ttl then
    redis.call('PEXPIREAT', by_update, ms + 2 * ttl)
    redis.call('PEXPIREAT', by_expiry, ms + 2 * ttl)
  end
end

