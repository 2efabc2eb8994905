-- Puts a summary job into the queue, unless one for the same subject waits, or there is no room.
--
-- KEYS: 1 stream of the jobs that may be done; 2 hash: the subjects of all that wait, and of those
--       that wait for their time, the job; 3 sorted set: those, by the millisecond of their time.
-- ARGV: 1 subject, 2 the job, 3 how many may wait, or '' for any number.

local waiting = redis.call('HLEN', KEYS[2])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return {'waiting', waiting} end
if ARGV[3] ~= '' and waiting >= tonumber(ARGV[3]) then return {'full', waiting} end
redis.call('HSET', KEYS[2], ARGV[1], '')
redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 'j', ARGV[2])
return {'queued', waiting + 1}
