-- Tells those who watch the session of KEYS[1] that it was written: what was done ('a' an append, 'c' a
-- creation, 'd' a deletion, 'e' an edit, 's' a summary), its generation and the sequence of its last
-- entry. Never what was written: watchers read that, past the hooks.
--
-- A user of Redis who may not publish can write all the same; only watchers suffer from it.
local function tell(kind, generation, last)
  local channel = tonumber(string.sub(redis.sha1hex(KEYS[1]), 1, 2), 16) % 64
  redis.pcall('PUBLISH', string.match(KEYS[1], '^[^{]*') .. 'w:' .. channel,
    kind .. ' ' .. generation .. ' ' .. string.format('%d', last) .. ' ' .. KEYS[1])
end

