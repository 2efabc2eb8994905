-- The first half of an append: what must hold before anything is written. `write.lua` follows.
--
-- KEYS: 1 session, 2 entries, 3 ids now, 4 ids before, 5 the user's state, 6 sessions by update,
--       7 sessions by expiry.
-- ARGV: 1 the session's name in keys, 2 event limit or '', 3 session ttl in ms or 0, 4 user state
--       ttl in ms or 0, 5 the longest that a call stays open in ms, 6 mark of the outbox or '',
--       7 number of entries, 8 generation or '', 9 revision or '', 10 '1' if the entry that would
--       follow contradicts one of these; then the ids, then the digests, then the entries.

local session = redis.call('HMGET', KEYS[1], '#g', '#n', '#p', '#o')
local generation, numbers, pending, open = session[1], session[2], session[3], session[4]
if not generation then return {'missing'} end
if ARGV[8] ~= '' and ARGV[8] ~= generation then return {'generation', generation} end

local fresh = false
local count = tonumber(ARGV[7])
local earlier, unseen = {}, count
for k = 1, count do
  local id = ARGV[10 + k]
  local seen = redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
  if seen then
    if string.sub(seen, 1, 16) ~= ARGV[10 + count + k] then return {'conflict', k} end
    earlier[k] = string.sub(seen, 17)
    unseen = unseen - 1
  end
end
if ARGV[10] == '1' then return {'conflict', count + 1} end

if unseen == 0 then
  local time = redis.call('TIME')
  local reply = {
    'done', generation, numbers, time[1] * 1000 + math.floor(time[2] / 1000),
    redis.call('PTTL', KEYS[1]), 0, pending or '',
  }
  for k = 1, count do reply[7 + k] = '=' .. earlier[k] end
  return reply
end

local revision = string.match(numbers, '^%d+')
if ARGV[9] ~= '' and ARGV[9] ~= revision then return {'revision', generation, revision} end
local at = 11 + 2 * count
