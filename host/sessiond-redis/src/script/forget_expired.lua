-- Takes up to 100 sessions that are over out of the lists of a user's sessions.
--
-- A session's time to live is on its keys. What the list by expiry says is only when to look:
-- writes and reads move the end of a session without telling it.
local function forget_expired(by_update, by_expiry, hashes, ms)
  local due = redis.call('ZRANGEBYSCORE', by_expiry, '-inf', ms, 'LIMIT', 0, 100)
  for _, name in ipairs(due) do
    local left = redis.call('PTTL', hashes .. name)
    if left == -2 then
      redis.call('ZREM', by_update, name)
      redis.call('ZREM', by_expiry, name)
    elseif left == -1 then
      redis.call('ZREM', by_expiry, name)
    else
      redis.call('ZADD', by_expiry, ms + left, name)
    end
  end
end

