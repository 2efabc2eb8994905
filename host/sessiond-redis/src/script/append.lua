-- The first half of an append. `session.lua` comes before, and `write.lua` follows.
--
-- ARGV as in `session.lua`, but 10 is '2' if three more follow at the end: how many appends these
-- entries are of, and the field and the position of a journal that the session is to remember, or ''.
-- Then the ids, then the digests, then the entries.

-- The fields that a lone entry changes are read along. There is room for one.
local count = tonumber(ARGV[7])
local fields = {'#g', '#n', '#p', '#o', '#r', nil}
if count == 1 and string.byte(ARGV[16]) ~= 45 then
  local lists = string.byte(ARGV[16]) < 97 and 22 or 19
  changed_fields(lists, lists + ARGV[lists - 1], fields)
end
local session = values_of(fields)
local generation, numbers, pending, open, rare =
  session[1], session[2], session[3], session[4], session[5]
if not generation then return {'missing'} end
if ARGV[8] ~= '' and ARGV[8] ~= generation then return {'generation', generation} end

local fresh = false
local earlier, unseen, clash = look_up(14, count)
if clash then return {'conflict', clash} end
if ARGV[10] == '1' then return {'conflict', count + 1} end

local time = redis.call('TIME')
if unseen == 0 then
  if ARGV[10] == '2' and ARGV[#ARGV - 1] ~= '' then
    redis.call('HSET', KEYS[1], ARGV[#ARGV - 1], ARGV[#ARGV])
  end
  local reply = {
    'done', generation, numbers, time[1] * 1000 + math.floor(time[2] / 1000),
    redis.call('PTTL', KEYS[1]), 0, pending or '',
  }
  for k = 1, count do reply[7 + k] = '=' .. earlier[k] end
  return reply
end

local leased = barred(rare, time)
if leased then return leased end
local revision, last, first, base, updated, expires, turn, events, tokens, turns, ids, edits, floor,
  created, summarized_events, summarized_tokens, summarized_turns = struct.unpack(NUMBERS, numbers)
if ARGV[9] ~= '' and tonumber(ARGV[9]) ~= revision then return {'revision', generation, revision} end
local at = 14 + 2 * count
