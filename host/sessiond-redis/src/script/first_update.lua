-- The time of the first update of a session: later than that of all others of the user, whatever the
-- clock does. No two scripts run in the same microsecond, so later updates need no such care.
local function first_update(now)
  local newest = redis.call('ZREVRANGE', KEYS[6], 0, 0, 'WITHSCORES')
  return math.max(now, newest[2] and newest[2] + 1 or 0)
end

