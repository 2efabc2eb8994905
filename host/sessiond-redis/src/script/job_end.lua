-- Ends a summary job that was taken, unless another consumer has it by now; and puts it back, to be
-- done later, unless another one for its subject waits already.
--
-- KEYS as in `job_put.lua`. ARGV: 1 consumer, 2 id of the entry; and to put it back 3 subject, 4 the
-- job, 5 after how many ms.

local held = redis.call('XPENDING', KEYS[1], 'g', ARGV[2], ARGV[2], 1)[1]
if not held or held[2] ~= ARGV[1] then return {'no'} end
if ARGV[3] and redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then
  if ARGV[5] == '0' then
    redis.call('HSET', KEYS[2], ARGV[3], '')
    redis.call('XADD', KEYS[1], '*', 's', ARGV[3], 'j', ARGV[4])
  else
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[5]), ARGV[3])
  end
end
redis.call('XACK', KEYS[1], 'g', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return {'yes'}
