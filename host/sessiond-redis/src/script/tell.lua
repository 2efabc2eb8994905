-- Tells those who watch the session of KEYS[1], on its channel, that it was written: what was done
-- ('a' an append, 'c' a creation, 'd' a deletion, 'e' an edit, 's' a summary), its generation and the
-- sequence of its last entry. Never what was written: watchers read that, past the hooks.
--
-- A user of Redis who may not publish can write all the same; only watchers suffer from it.
local function tell(channel, kind, generation, last)
  redis.pcall('PUBLISH', channel,
    kind .. ' ' .. generation .. ' ' .. string.format('%d', last) .. ' ' .. KEYS[1])
end

