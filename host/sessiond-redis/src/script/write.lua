-- The second half of a creation and of an append: first finds out what the new entries amount to,
-- then writes it. `session.lua` and one of `create.lua` and `append.lua` come before.
--
-- The first write is an HSET, which Redis refuses when its memory is full; those after it, it lets
-- pass. So either all is written or nothing.
--
-- An entry that a plugin dropped is '-' and the name of the plugin. Others are: kind ('e' for an
-- event, 'u' for one that begins a user's turn, both with the number of its tokens; 's' for a
-- change of state), text, and how much follows: up to four lists, each after its length, without the
-- empty ones at the end: fields and values to set in the session's hash, fields to remove there, and
-- both for the user's state. Where the kind is a capital, three more come before that number: tokens
-- of the calls that it answers, tokens of the calls that it makes, changes of the app's state or ''.
--
-- What is stored is the sequence (6 bytes), the length of what the entry replaces in the session's
-- state (4 bytes), the text, and that. The list of entries has no holes: its first is the one of
-- sequence `base`.

local limit = tonumber(ARGV[2])
local ttl = ttl_of(rare)
local now = time[1] * 1000000 + time[2]
local ms = math.floor(now / 1000)

local sequence = last
local steps = ARGV[10] == '2' and tonumber(ARGV[#ARGV - 2]) or 1

-- Sets fields of a hash that an entry names in a list, without so many arguments that are set already,
-- and removes those of the list after it. Returns where the next list is. Lists at the end of an entry
-- may be missing.
local function change_both(key, list, stop, done)
  if list < stop then list = change('HSET', key, list, done) end
  if list < stop then list = change('HDEL', key, list) end
  return list
end

-- Records of open calls, each a token of 24 digits, its sequence and its time, oldest first.
open = open or ''
local calls = open
local stores = fresh
local outbox = ''
local reply = {'done', '', '', ms, -1, 0, pending or '', nil}
-- Where an entry begins, its lists begin, and the next entry does; of all entries, if there are more.
local from, lists, stop = at, nil, nil
local places = count > 1 and {}
for k = 1, count do
  local kind = ARGV[at]
  local letter = string.byte(kind)
  local capital = letter < 97
  if earlier[k] then
    reply[7 + k] = '=' .. earlier[k]
  elseif letter == 45 then
    reply[7 + k] = kind
  else
    stores = true
    last = last + 1
    reply[7 + k] = last
    if letter ~= 115 and letter ~= 83 then
      events = events + 1
      tokens = tokens + string.sub(kind, 2)
      if letter == 117 or letter == 85 then turns = turns + 1; turn = last end
    end
    if capital and limit then
      local answered, made = ARGV[at + 2], ARGV[at + 3]
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
    if capital then outbox = outbox .. ARGV[at + 4] end
  end
  -- One that was dropped has none.
  lists = at + (letter == 45 and 1 or capital and 6 or 3)
  stop = letter == 45 and lists or lists + ARGV[lists - 1]
  if places then places[k] = {at, lists, stop} end
  at = stop
end

-- An open call holds back the trimming, but not for ever, and no more than 1,000 of them do.
if limit and not fresh then
  local cut = math.max(last + 1 - limit, 0)
  local to, begin = cut, 1
  -- A record has at least 41 bytes, so a short list need not be counted.
  local held = #calls > 41000 and select(2, string.gsub(calls, ';', ';')) or 0
  while begin <= #calls do
    local _, stop, call, since = string.find(calls, '^%x+:(%d+):(%d+);', begin)
    call = tonumber(call)
    if call >= cut and held <= 1000 then break end
    if last - call < 2 * limit and ms - since <= tonumber(ARGV[5]) and held <= 1000 then
      to = call
      break
    end
    begin = stop + 1
    held = held - 1
    reply[6] = reply[6] + 1
  end
  if begin > 1 then calls = string.sub(calls, begin) end
  if to > first then first = to end
end
local trimmed = first - base >= 64 and first - base or 0
base = base + trimmed

local held = ids
if not fresh then ids = held_with(held, unseen, limit) end

-- State can be taken back as far as all entries since then are kept.
if first - 1 > floor then floor = first - 1 end
-- Whether the last write was under a configuration without a time to live.
local endless = expires == 0
-- Times to live are not begun anew with every write of a burst: a thousandth of one, and half a second
-- at most, is not worth as much as the rest of a write.
local lags = fresh or endless or ttl == 0 or
  math.abs(ms + ttl - expires) >= math.min(ttl / 1000, 500)
local stamp
if stores then
  updated = fresh and first_update(now) or math.max(now, updated + 1)
  stamp = string.format('%d', updated)
  if lags then expires = ttl > 0 and ms + ttl or 0 end
  if fresh then
    created = updated
  else
    revision = revision + steps
  end
end
local numbers = struct.pack(NUMBERS, revision, last, first, base, updated, expires, turn, events, tokens,
  turns, ids, edits, floor, created, summarized_events, summarized_tokens, summarized_turns)

-- What a lone entry sets in the session's hash goes along with the numbers, as far as one call takes it.
local along = 0
if fresh then
  generation = stamp
  redis.call('HSET', KEYS[1], '#n', numbers, '#g', generation)
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
elseif ARGV[10] == '2' and ARGV[#ARGV - 1] ~= '' then
  redis.call('HSET', KEYS[1], '#n', numbers, ARGV[#ARGV - 1], ARGV[#ARGV])
elseif count == 1 and stores and lists < stop then
  along = math.min(ARGV[lists], 1000)
  redis.call('HSET', KEYS[1], '#n', numbers, unpack(ARGV, lists + 1, lists + along))
else
  redis.call('HSET', KEYS[1], '#n', numbers)
end
if calls == '' and open ~= '' then
  redis.call('HDEL', KEYS[1], '#o')
elseif calls ~= open then
  redis.call('HSET', KEYS[1], '#o', calls)
end
if outbox ~= '' then
  redis.call('HSET', KEYS[1], '#p', stamp, 'x' .. stamp, ARGV[6] .. outbox)
end

local user_changes = fresh
local renew = lags
-- What a batch makes of the session's state and the user's is read and written once for all of it.
local batch, state, user_state
if count > 1 then
  batch, state, user_state = {}, {values = {}, known = {}}, {values = {}, known = {}}

  -- What an entry of a batch replaces in these fields.
  function batch.replaced(hash, fields)
    local values = {}
    for i = 1, #fields do values[i] = hash.values[fields[i]] or false end
    return replaced(fields, values, 1)
  end

  -- Notes that a field gets a value, or false if it goes.
  local function note(hash, field, value)
    hash.values[field] = value
    if not hash.known[field] then
      hash.known[field] = true
      hash[#hash + 1] = field
    end
  end

  -- As `change_both`, but notes what to write.
  function batch.gather(hash, list, stop)
    if list < stop then
      local after = list + ARGV[list] + 1
      for i = list + 1, after - 1, 2 do note(hash, ARGV[i], ARGV[i + 1]) end
      list = after
    end
    if list < stop then
      local after = list + ARGV[list] + 1
      for i = list + 1, after - 1 do note(hash, ARGV[i], false) end
      list = after
    end
    return list
  end

  -- Writes what was noted.
  function batch.write(key, hash)
    local set, removed = {}, {}
    for i = 1, #hash do
      local field = hash[i]
      local value = hash.values[field]
      if value then
        set[#set + 1] = field
        set[#set + 1] = value
      else
        removed[#removed + 1] = field
      end
    end
    call_all('HSET', key, set)
    call_all('HDEL', key, removed)
  end

  if not fresh then
    local wanted = {}
    for k = 1, count do
      if not earlier[k] then changed_fields(places[k][2], places[k][3], wanted) end
    end
    local seen, distinct = {}, {}
    for i = 1, #wanted do
      local field = wanted[i]
      if not seen[field] then
        seen[field] = true
        distinct[#distinct + 1] = field
      end
    end
    if distinct[1] then
      local values = values_of(distinct)
      for i = 1, #distinct do state.values[distinct[i]] = values[i] end
    end
  end
end
-- With room for those of a lone entry.
local entries, remembered = {nil}, {nil, nil}
at = from
for k = 1, count do
  if places then at, lists, stop = unpack(places[k]) end
  local dropped = string.byte(ARGV[at]) == 45
  if not earlier[k] and not dropped then
    sequence = sequence + 1
    local undo = ''
    if lists < stop then
      local user
      if batch then
        undo = batch.replaced(state, changed_fields(lists, stop, {}))
        user = batch.gather(state, lists, stop)
        batch.gather(user_state, user, stop)
      else
        local changed = fields or changed_fields(lists, stop, {})
        if fields then
          undo = replaced(fields, session, 6)
        elseif changed[1] then
          undo = replaced(changed, values_of(changed), 1)
        end
        user = lists + 1 + along
        if user < stop then
          user = change_both(KEYS[1], lists, stop, along)
          change_both(KEYS[5], user, stop, 0)
        end
      end
      if user < stop then user_changes = true end
    end
    entries[#entries + 1] = struct.pack('<I6I4', sequence, #undo) .. ARGV[at + 1] .. undo
  end
  if not earlier[k] and not fresh then
    remembered[#remembered + 1] = ARGV[13 + k]
    remembered[#remembered + 1] = ARGV[13 + count + k] ..
      (dropped and reply[7 + k] or 's' .. struct.pack('<I6', reply[7 + k]))
  end
end
if batch then
  batch.write(KEYS[1], state)
  batch.write(KEYS[5], user_state)
end
-- A key that is new has no time to live yet.
if not fresh and remember(remembered, held, limit) then renew = true end
if call_all('RPUSH', KEYS[2], entries) == #entries then renew = true end
if trimmed > 0 then redis.call('LTRIM', KEYS[2], trimmed, -1) end

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
  if left >= 0 then
    redis.call('PEXPIRE', KEYS[3], left)
    redis.call('PEXPIRE', KEYS[4], left)
  end
  reply[5] = left
else
  redis.call('ZADD', KEYS[6], stamp, ARGV[1])
  reply[5] = renew and keep_session(rare, ttl, ms, endless) or expires - ms
end
if fresh then
  forget_expired(KEYS[6], KEYS[7], string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1]), ms)
end

reply[2], reply[3] = generation, numbers
if stores then tell(ARGV[13], fresh and 'c' or 'a', generation, last) end
return reply
