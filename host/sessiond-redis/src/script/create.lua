-- The first half of a creation. `session.lua`, `first_update.lua` and `forget_expired.lua` come before,
-- and `write.lua` follows.
--
-- ARGV as in `session.lua`, but 8 to 11 are not used; then the entries.

if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end

local generation, pending, open, rare, session, fields
local revision, last, first, base, updated, expires, turn, events, tokens, turns, ids, edits, floor,
  created, summarized_events, summarized_tokens, summarized_turns =
  1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
local fresh = true
local time = redis.call('TIME')
local count = tonumber(ARGV[7])
local earlier, unseen = {}, count
local at = 14
