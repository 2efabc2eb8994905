-- What the scripts that write a session have in common.
--
-- KEYS: 1 session, 2 entries, 3 ids now, 4 ids before, 5 the user's state, 6 sessions by update,
--       7 sessions by expiry.
-- ARGV: 1 the session's name in keys, 2 limit or '', 3 session ttl in ms, 4 user state ttl in ms,
--       5 how long an open call holds, in ms, 6 the number of this write's mark, 7 number of
--       entries, 8 generation or '', 9 revision or '', 10 '1' if an entry that would follow
--       contradicts an earlier one, 11 the token of the lease that the writer holds, or '',
--       12 track ttl in ms, or '' for as long as the session, 13 the channel for those who watch; what
--       follows differs.
--
-- The field '#r' of a session has what few sessions have: a time to live of its own in ms ('-' for
-- none, 0 for no end), when a lease ends and its token, and the names of tracks, as in keys.

-- The key of a track.
local function track_key(track)
  return string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1] - 2) .. 't:' .. ARGV[1] .. ':' .. track
end

-- The tracks of a session, one after the other.
local function tracks_of(rare)
  return string.gmatch(string.match(rare, '^%S+ %S+ %S+(.*)$'), '%S+')
end

-- The reply to a writer who does not hold the lease that there is.
local function barred(rare, time)
  if not rare then return nil end
  local ends, token = string.match(rare, '^%S+ (%d+) (%S+)')
  if tonumber(ends) <= time[1] * 1000 + math.floor(time[2] / 1000) or token == ARGV[11] then
    return nil
  end
  return {'leased', ends, redis.call('HGET', KEYS[1], '#h') or ''}
end

-- How long the session lives, in ms; 0 for ever.
local function ttl_of(rare)
  local own = rare and string.match(rare, '^%S+') or '-'
  if own == '-' then own = ARGV[3] end
  return tonumber(own)
end

-- Begins the time of the session anew, on all its keys. `relist` says that the list by expiry must
-- learn of it: later writes leave it alone, since it says when to look, and that may be too soon.
local function keep_session(rare, ttl, ms, relist)
  if ttl > 0 then
    local expires = string.format('%d', ms + ttl)
    for k = 1, 4 do redis.call('PEXPIREAT', KEYS[k], expires) end
    if relist then redis.call('ZADD', KEYS[7], expires, ARGV[1]) end
    -- The lists live at least as long as the session. They get twice as much, so that this is seldom to
    -- be done; a list that holds a session without an end has none.
    local left = redis.call('PTTL', KEYS[6])
    if left < ttl then
      redis.call('PEXPIREAT', KEYS[7], ms + 2 * ttl)
      if left ~= -1 or redis.call('ZCARD', KEYS[6]) == redis.call('ZCARD', KEYS[7]) then
        redis.call('PEXPIREAT', KEYS[6], ms + 2 * ttl)
      end
    end
  else
    redis.call('PERSIST', KEYS[6])
    if redis.call('PERSIST', KEYS[1]) == 1 then
      for k = 2, 4 do redis.call('PERSIST', KEYS[k]) end
      redis.call('ZREM', KEYS[7], ARGV[1])
    end
  end
  if rare and ARGV[12] == '' then
    for track in tracks_of(rare) do
      if ttl > 0 then
        redis.call('PEXPIREAT', track_key(track), string.format('%d', ms + ttl))
      else
        redis.call('PERSIST', track_key(track))
      end
    end
  end
  return ttl > 0 and ttl or -1
end

-- Calls a command with the arguments of a list, which stand after its length, but for so many at its
-- start. Returns where the next list is. No more than 1,000 at once, or Lua's stack is too small.
local function change(command, key, list, done)
  local stop = list + ARGV[list]
  for i = list + 1 + (done or 0), stop, 1000 do
    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, stop)))
  end
  return stop + 1
end

-- Calls a command with some values of a list, by default with all; pairs stay together.
local function call_all(command, key, values, from, to)
  from, to = from or 1, to or #values
  if to - from == 0 then return redis.call(command, key, values[from]) end
  local answer
  for i = from, to, 1000 do
    answer = redis.call(command, key, unpack(values, i, math.min(i + 999, to)))
  end
  return answer
end

-- Looks ids up that stand from an argument on, with their digests after them. Returns what is
-- remembered of each, without the digest, how many are new, and the number of the first that is
-- remembered for something else.
local function look_up(from, count)
  local known
  if count == 1 then
    known = {redis.call('HGET', KEYS[3], ARGV[from]) or redis.call('HGET', KEYS[4], ARGV[from])}
  else
    known = {}
    for i = 1, count, 1000 do
      local first, stop = from + i - 1, from + math.min(i + 999, count) - 1
      local now = redis.call('HMGET', KEYS[3], unpack(ARGV, first, stop))
      local before = redis.call('HMGET', KEYS[4], unpack(ARGV, first, stop))
      for k = 1, stop - first + 1 do known[i + k - 1] = now[k] or before[k] end
    end
  end
  local earlier, unseen = {}, count
  for k = 1, count do
    local seen = known[k]
    if seen then
      if string.sub(seen, 1, 16) ~= ARGV[from + count + k - 1] then return nil, nil, k end
      earlier[k] = string.sub(seen, 17)
      unseen = unseen - 1
    end
  end
  return earlier, unseen
end

-- Ids are remembered in two hashes: when that of now is full it becomes that of before. So both hold
-- at least `limit` of them, and none need be looked up to be forgotten. This is how many the hash of
-- now holds, with so many more.
local function held_with(held, unseen, limit)
  local all = held + unseen
  if limit and all > limit then all = (math.min(held, limit) + unseen - 1) % limit + 1 end
  return all
end

-- Remembers ids, each followed by what became of it. Returns whether a hash is new, and so has no time
-- to live.
local function remember(ids, held, limit)
  local from = 1
  local full = limit and 2 * math.max(limit - held, 0) + 1 or #ids + 1
  for i = full, #ids, 2 * (limit or 1) do
    call_all('HSET', KEYS[3], ids, from, i - 1)
    from = i
    if redis.call('EXISTS', KEYS[3]) == 1 then
      redis.call('UNLINK', KEYS[4])
      redis.call('RENAME', KEYS[3], KEYS[4])
    end
  end
  call_all('HSET', KEYS[3], ids, from)
  -- Redis searches a small hash from its start, which with so many ids costs more than the rest of an
  -- append. A value of more than 64 bytes makes it one that need not be searched, for good.
  if held < 128 and held + #ids / 2 >= 128 then
    redis.call('HSET', KEYS[3], '', string.rep('-', 65))
    redis.call('HDEL', KEYS[3], '')
  end
  return held == 0 or full <= #ids
end

-- Adds the fields of the session's hash that an entry changes. `list` is where the fields to set stand
-- with their values, and those to remove after them; `stop` is where the entry ends.
local function changed_fields(list, stop, fields)
  if list >= stop then return fields end
  local removed = list + ARGV[list] + 1
  for i = list + 1, removed - 1, 2 do fields[#fields + 1] = ARGV[i] end
  if removed < stop then
    for i = removed + 1, removed + ARGV[removed] do fields[#fields + 1] = ARGV[i] end
  end
  return fields
end

-- The values of these fields of the session's hash.
local function values_of(fields)
  if #fields <= 1000 then return redis.call('HMGET', KEYS[1], unpack(fields)) end
  local values = {}
  for i = 1, #fields, 1000 do
    local part = redis.call('HMGET', KEYS[1], unpack(fields, i, math.min(i + 999, #fields)))
    for k = 1, #part do values[#values + 1] = part[k] end
  end
  return values
end

-- What an entry replaces in the session's state, from a field on: for each key the lengths of the key
-- and of the value (-1 if there is none), and both.
local function replaced(fields, values, from)
  local text = ''
  for k = from, #fields do
    local field, value = fields[k], values[k]
    text = text .. string.format('%d %d:', #field - 1, value and #value or -1) ..
      string.sub(field, 2) .. (value or '')
  end
  return text
end

