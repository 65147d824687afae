import { createHash } from 'node:crypto'

/**
 * The Lua scripts: each is one atomic step of the protocol. They return arrays or numbers, never error strings with
 * text of a user in them, and touch only the keys they are given. What they do to a key must be allowed to the role that
 * runs them (deploy/redis/*.acl).
 *
 * XDEL comes before XACK: of a script that an append-only file holds half of, Redis 7.0 may execute that half when it loads the
 * file. An entry that is gone and pending is dropped by who claims it; one that is there and not pending, nobody would get.
 */
export interface Script {
  name: string
  text: string
  sha: string
}

function script(name: string, text: string): Script {
  return { name, text, sha: createHash('sha1').update(text).digest('hex') }
}

/**
 * Puts a job on the stream, at most once for an id however often it is called, and notes that this gateway waits for it.
 * An outcome that a new attempt may change (`retry`) answers nobody who comes later: it makes room for the attempt, and so
 * does the entry of the former one, which is still there if the outcome came from an entry that Redis had lost.
 *
 * KEYS 1 jobs
 *      2 job
 *      3 result
 * ARGV 1 TTL of the marker in ms
 *      2 most jobs that the stream may hold
 *      3 what is asked
 *      4 the gateway that waits
 *      5 group
 *      6 … the entry's fields
 * Returns {0, entry} enqueued
 *         {1, entry} waiting already; its marker lives at least as long as this call asks
 *         {2, outcome} finished before
 *         {-1, depth} full
 *         {-2} no stream: the caller creates the group at 0 and tries again, so that no job is added before its group
 *         {-3} something else was asked under this id
 */
export const enqueueScript = script(
  'enqueue',
  `#!lua
local ttl, limit, ask, gateway = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], 'gateway:' .. ARGV[4]
local result = redis.call('HMGET', KEYS[3], 'ask', 'outcome', 'retry')
local marker = redis.call('HMGET', KEYS[2], 'ask', 'entry')
if (result[1] or ask) ~= ask or (marker[1] or ask) ~= ask then return {-3, ''} end
if result[2] and result[3] ~= '1' then return {2, result[2]} end
if marker[2] and not result[2] then
  redis.call('HSET', KEYS[2], gateway, '1')
  if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], ttl) end
  return {1, marker[2]}
end
local depth = redis.call('XLEN', KEYS[1])
if depth >= limit then return {-1, tostring(depth)} end
local entry = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', unpack(ARGV, 6))
if not entry then return {-2, ''} end
if marker[2] then
  redis.call('XDEL', KEYS[1], marker[2])
  redis.pcall('XACK', KEYS[1], ARGV[5], marker[2])
end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[2], 'ask', ask, 'entry', entry, gateway, '1')
redis.call('PEXPIRE', KEYS[2], ttl)
return {0, entry}
`
)

/**
 * Stores an outcome, publishes it if it is the first, and takes the job off the stream: the only place that acknowledges
 * work, and always together with an outcome. Runs even when Redis is out of memory, or the queue could never drain.
 *
 * KEYS 1 jobs
 *      2 result
 *      3 dead
 * ARGV 1 group
 *      2 entry
 *      3 outcome
 *      4 TTL of the result in ms
 *      5 channel
 *      6 what was asked
 *      7 1 if a new attempt may change the outcome, else 0
 *      8 dead letters kept
 *      9 … the fields of a dead letter, if any
 * Returns 1 if this outcome counts, 0 if another came first.
 */
export const finishScript = script(
  'finish',
  `#!lua flags=allow-oom
local first = redis.call('HSETNX', KEYS[2], 'outcome', ARGV[3]) == 1
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if not first then return 0 end
redis.call('HSET', KEYS[2], 'ask', ARGV[6], 'retry', ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if #ARGV > 8 then redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', unpack(ARGV, 9)) end
redis.call('PUBLISH', ARGV[5], ARGV[3])
return 1
`
)

/**
 * Takes a worker's name in one step, so that of two workers that want it one gets it.
 *
 * KEYS 1 workers
 *      2 seen
 * ARGV 1 name
 *      2 report
 *      3 now in ms
 *      4 when the holder that is gone was last seen, or '' where there was none
 * Returns {} taken
 *         {when its holder was last seen, its report} it is another's
 */
export const claimNameScript = script(
  'claim-name',
  `#!lua flags=allow-oom
local seen = redis.call('ZSCORE', KEYS[2], ARGV[1])
if seen and seen ~= ARGV[4] then return {seen, redis.call('HGET', KEYS[1], ARGV[1]) or ''} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return {}
`
)

/**
 * Says for each id where its job is, and notes that this gateway waits for it.
 *
 * KEYS 1 jobs
 *      2 … result and job of each id
 * ARGV 1 group
 *      2 the gateway that waits
 *      3 … what is asked under each id
 * Returns for each id {0} lost: delivered, not pending and without outcome, or wiped
 *                     {1} still queued
 *                     {2, deliveries, idle ms} with a worker
 *                     {3, outcome} finished
 *                     {4} something else was asked under this id
 * What was lost is cleaned up in the same step, so that it can be enqueued again at once.
 *
 * Whether an undelivered entry is really there is not looked up, for that would copy its image. A stream wiped and made
 * again by a worker is empty and holds nobody's job; once it has newer entries, their delivery shows that ours is gone.
 * Takes next to no memory, so it runs even when Redis is out of it.
 */
export const checkScript = script(
  'check',
  `#!lua flags=allow-oom
local function after(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams > bms or (ams == bms and aseq > bseq)
end

local exists, depth = redis.call('EXISTS', KEYS[1]) == 1, redis.call('XLEN', KEYS[1])
local grouped, delivered = false, '0-0'
if exists then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = {}
    for i = 1, #info, 2 do fields[info[i]] = info[i + 1] end
    if fields['name'] == ARGV[1] then grouped, delivered = true, fields['last-delivered-id'] end
  end
end

local function place(result, job, ask)
  local stored = redis.call('HMGET', result, 'ask', 'outcome')
  local marker = redis.call('HMGET', job, 'ask', 'entry')
  if (stored[1] or ask) ~= ask or (marker[1] or ask) ~= ask then return {4} end
  if stored[2] then return {3, stored[2]} end
  local entry = marker[2]
  if not entry then return {0} end
  local pending = grouped and redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)[1]
  if pending or depth > 0 and (not grouped or after(entry, delivered)) then
    redis.call('HSET', job, 'gateway:' .. ARGV[2], '1')
    return pending and {2, pending[4], pending[3]} or {1}
  end
  redis.call('DEL', job)
  if exists then redis.call('XDEL', KEYS[1], entry) end
  return {0}
end

local places = {}
for i = 2, #KEYS, 2 do places[#places + 1] = place(KEYS[i], KEYS[i + 1], ARGV[i / 2 + 2]) end
return places
`
)

/**
 * Takes a job off the stream for which no gateway waits any more; safe in every state.
 *
 * KEYS 1 jobs
 *      2 job
 * ARGV 1 group
 *      2 the gateway that waits no longer
 * Returns 1 if the job was taken off, 0 if it was not there or somebody else waits for it.
 */
export const cancelScript = script(
  'cancel',
  `#!lua flags=allow-oom
local entry = redis.call('HGET', KEYS[2], 'entry')
if not entry then return 0 end
redis.call('HDEL', KEYS[2], 'gateway:' .. ARGV[2])
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, 8) == 'gateway:' then return 0 end
end
redis.call('DEL', KEYS[2])
local deleted = redis.call('XDEL', KEYS[1], entry)
redis.pcall('XACK', KEYS[1], ARGV[1], entry)
return deleted
`
)

/**
 * Creates stream and group where they are missing, out of memory too: a worker that can't read can't make room. The group
 * starts at 0: at $ every job added before the group would be lost.
 *
 * KEYS 1 jobs
 * ARGV 1 group
 * Returns 1 if it was created, 0 if it was there.
 */
export const createGroupScript = script(
  'create-group',
  `#!lua flags=allow-oom
local reply = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if not reply.err then return 1 end
if string.sub(reply.err, 1, 9) == 'BUSYGROUP' then return 0 end
return reply
`
)

/**
 * Removes a consumer, but only one that holds nothing: XGROUP DELCONSUMER would drop its pending jobs without a trace.
 *
 * KEYS 1 jobs
 * ARGV 1 group
 *      2 consumer
 * Returns 1 if it is gone.
 */
export const leaveScript = script(
  'leave',
  `#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
`
)

/**
 * Enters what a worker says of itself, out of memory too: a full queue must not look like a fleet that died.
 *
 * KEYS 1 workers
 *      2 seen
 * ARGV 1 name of the worker
 *      2 its report as JSON
 *      3 Redis' time in ms
 */
export const reportScript = script(
  'report',
  `#!lua flags=allow-oom
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
`
)

export const scripts: readonly Script[] = [
  enqueueScript,
  finishScript,
  checkScript,
  cancelScript,
  createGroupScript,
  leaveScript,
  claimNameScript,
  reportScript
]
