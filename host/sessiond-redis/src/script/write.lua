-- The second half of a creation and of an append: first finds out what the new entries amount to,
-- then writes it. `keep_lists.lua` and one of `create.lua` and `append.lua` come before.
--
-- The first write is an HSET, which Redis refuses when its memory is full; those after it, it lets
-- pass. So either all is written or nothing.
--
-- An entry that a plugin dropped is '-' and the name of the plugin. Others are: kind ('e' for an
-- event, 'u' for one that begins a user's turn, both with the number of its tokens; 's' for a
-- change of state), envelope, body, state delta or '', tokens of the calls that it answers, tokens
-- of the calls that it makes, changes of the app's state or '', and how much follows: nothing, or
-- four lists, each after its length: fields and values to set in the session's hash, fields to
-- remove there, and both for the user's state.

local limit = tonumber(ARGV[2])
local ttl = tonumber(ARGV[3])
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- The last four are when it was created, and what is summarized: events, tokens and turns.
local revision, last, first, base, updated, expires, turn, events, tokens, turns, ids, rest =
  string.match(numbers, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)( .*)$')
local sequence = tonumber(last)
last, first = sequence, tonumber(first)

-- Records of open calls, each a token of 24 digits, its sequence and its time, oldest first.
open = open or ''
local calls = open
local stores = fresh
local outbox = ''
local reply = {'done', '', '', ms, -1, 0, pending or ''}
local from = at
for k = 1, count do
  local kind = ARGV[at]
  local letter = string.byte(kind)
  if earlier[k] then
    reply[7 + k] = '=' .. earlier[k]
  elseif letter == 45 then
    reply[7 + k] = kind
  else
    stores = true
    last = last + 1
    reply[7 + k] = tostring(last)
    if letter ~= 115 then
      events = events + 1
      tokens = tokens + string.sub(kind, 2)
      if letter == 117 then turns = turns + 1; turn = last end
    end
    if limit then
      local answered, made = ARGV[at + 4], ARGV[at + 5]
      for i = 1, #answered, 24 do
        local begin = string.find(calls, string.sub(answered, i, i + 23), 1, true)
        if begin then
          local stop = string.find(calls, ';', begin, true)
          calls = string.sub(calls, 1, begin - 1) .. string.sub(calls, stop + 1)
        end
      end
      for i = 1, #made, 24 do
        calls = calls .. string.sub(made, i, i + 23) .. ':' .. last .. ':' .. ms .. ';'
      end
    end
    outbox = outbox .. ARGV[at + 6]
  end
  at = at + (letter == 45 and 1 or 8 + ARGV[at + 7])
end

-- An open call holds back the trimming, but not for ever, and no more than 1,000 of them do.
if limit and not fresh then
  local cut = math.max(last + 1 - limit, 0)
  local to, begin, age = cut, 1, tonumber(ARGV[5])
  -- A record has at least 41 bytes, so a short list need not be counted.
  local held = #calls > 41000 and select(2, string.gsub(calls, ';', ';')) or 0
  while begin <= #calls do
    local _, stop, call, since = string.find(calls, '^%x+:(%d+):(%d+);', begin)
    call = tonumber(call)
    if call >= cut and held <= 1000 then break end
    if last - call < 2 * limit and ms - since <= age and held <= 1000 then
      to = call
      break
    end
    begin = stop + 1
    held = held - 1
    reply[6] = reply[6] + 1
  end
  if begin > 1 then calls = string.sub(calls, begin) end
  first = math.max(first, to)
end
local trims = first - base >= 64
if trims then base = first end

-- Ids are remembered in two hashes: when that of now is full it becomes that of before. So both
-- hold at least `limit` of them, and none need be looked up to be forgotten.
local held = tonumber(ids)
if not fresh then
  ids = held + unseen
  if limit and ids > limit then ids = (math.min(held, limit) + unseen - 1) % limit + 1 end
end

-- No two sessions of a user are updated at the same time, whatever the clock does.
if stores then
  local micros = time[1] * 1000000 + time[2]
  local newest = redis.call('ZREVRANGE', KEYS[6], 0, 0)[1]
  if newest then
    if newest ~= ARGV[1] then updated = redis.call('ZSCORE', KEYS[6], newest) end
    micros = math.max(micros, updated + 1)
  end
  updated = string.format('%d', micros)
  if fresh then rest = ' ' .. updated .. ' 0 0 0' else revision = revision + 1 end
end
-- Whether the last write was under a configuration without a time to live.
local endless = expires == '0'
if stores then expires = ttl > 0 and string.format('%d', ms + ttl) or '0' end
numbers = string.format('%d %d %d %d %s %s %d %d %d %d %d%s',
  revision, last, first, base, updated, expires, turn, events, tokens, turns, ids, rest)

-- Sets or removes fields, as the list at that argument says. Returns where the next one is.
local function change(command, key, list)
  local stop = list + ARGV[list]
  for i = list + 1, stop, 1000 do
    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, stop)))
  end
  return stop + 1
end

if fresh then
  generation = updated
  redis.call('HSET', KEYS[1], '#n', numbers, '#g', generation)
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
else
  redis.call('HSET', KEYS[1], '#n', numbers)
end
if calls == '' and open ~= '' then
  redis.call('HDEL', KEYS[1], '#o')
elseif calls ~= open then
  redis.call('HSET', KEYS[1], '#o', calls)
end
if outbox ~= '' then
  redis.call('HSET', KEYS[1], '#p', updated, 'x' .. updated, ARGV[6] .. outbox)
end

local user_changes = fresh
at = from
for k = 1, count do
  local dropped = string.byte(ARGV[at]) == 45
  if not earlier[k] and not dropped then
    sequence = sequence + 1
    if ARGV[at + 3] == '' then
      redis.call('XADD', KEYS[2], sequence .. '-0', 'e', ARGV[at + 1], 'd', ARGV[at + 2])
    else
      redis.call('XADD', KEYS[2], sequence .. '-0', 'e', ARGV[at + 1], 'd', ARGV[at + 2],
        's', ARGV[at + 3])
    end
    if ARGV[at + 7] ~= '0' then
      local user = change('HDEL', KEYS[1], change('HSET', KEYS[1], at + 8))
      local stop = change('HDEL', KEYS[5], change('HSET', KEYS[5], user))
      if stop > user + 2 then user_changes = true end
    end
  end
  if not earlier[k] and not fresh then
    if limit and held >= limit then
      if redis.call('EXISTS', KEYS[3]) == 1 then
        redis.call('UNLINK', KEYS[4])
        redis.call('RENAME', KEYS[3], KEYS[4])
      end
      held = 0
    end
    redis.call('HSET', KEYS[3], ARGV[10 + k], ARGV[10 + count + k] .. reply[7 + k])
    held = held + 1
  end
  at = at + (dropped and 1 or 8 + ARGV[at + 7])
end
if trims then redis.call('XTRIM', KEYS[2], 'MINID', base .. '-0') end

if user_changes then
  if ARGV[4] == '0' then
    redis.call('PERSIST', KEYS[5])
  else
    redis.call('PEXPIRE', KEYS[5], ARGV[4])
  end
end

if not stores then
  -- Nobody touched the session, and an id that is remembered must not outlive it.
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 then redis.call('PEXPIRE', KEYS[3], left) end
  reply[5] = left
else
  redis.call('ZADD', KEYS[6], updated, ARGV[1])
  if ttl > 0 then
    for k = 1, 4 do redis.call('PEXPIREAT', KEYS[k], expires) end
    -- Later writes leave the list by expiry alone: it says when to look, and that may be too soon.
    if endless then redis.call('ZADD', KEYS[7], expires, ARGV[1]) end
    keep_lists(KEYS[6], KEYS[7], ttl, ms)
    reply[5] = ttl
  else
    redis.call('PERSIST', KEYS[6])
    if redis.call('PERSIST', KEYS[1]) == 1 then
      for k = 2, 4 do redis.call('PERSIST', KEYS[k]) end
      redis.call('ZREM', KEYS[7], ARGV[1])
    end
  end
end
if fresh then
  forget_expired(KEYS[6], KEYS[7], string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1]), ms)
end

reply[2], reply[3] = generation, numbers
return reply
