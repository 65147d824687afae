import { createHash } from 'node:crypto'

/**
 * The Lua scripts: each is one atomic step of the protocol. They return arrays or numbers, never error strings with
 * text of a user in them, and touch only the keys they are given.
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
 * Puts a job on the stream, at most once for an id however often it is called.
 * KEYS jobs job result; ARGV marker TTL in ms, max depth, then the entry's fields.
 * Returns {2, outcome} finished before | {1, entry} waiting already | {0, entry} enqueued | {-1, depth} full |
 * {-2} no stream: the caller creates the group at 0 and tries again, so that no job is added before its group.
 */
export const enqueueScript = script(
  'enqueue',
  `#!lua
local outcome = redis.call('GET', KEYS[3])
if outcome then return {2, outcome} end
local entry = redis.call('GET', KEYS[2])
if entry then return {1, entry} end
local depth = redis.call('XLEN', KEYS[1])
if depth >= tonumber(ARGV[2]) then return {-1, tostring(depth)} end
entry = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', unpack(ARGV, 3))
if not entry then return {-2, ''} end
redis.call('SET', KEYS[2], entry, 'PX', ARGV[1])
return {0, entry}
`
)

/**
 * Stores an outcome, publishes it if it is the first, and takes the job off the stream: the only place that acknowledges
 * work, and always together with an outcome. Runs even when Redis is out of memory, or the queue could never drain.
 * KEYS jobs result dead; ARGV group, entry, outcome, result TTL in ms, channel, dead letters kept, then the fields of a dead letter if any.
 * Returns 1 if this outcome counts, 0 if another came first.
 */
export const finishScript = script(
  'finish',
  `#!lua flags=allow-oom
local first = redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if not first then return 0 end
if #ARGV > 6 then redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', unpack(ARGV, 7)) end
redis.call('PUBLISH', ARGV[5], ARGV[3])
return 1
`
)

/**
 * Takes a worker's name in one step, so that of two workers that want it one gets it.
 * KEYS workers seen; ARGV name, report, now in ms, and when the holder that is gone was last seen, or '' where
 *   there was none.
 * Returns {} taken | {when its holder was last seen, its report}: it is another's.
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
 * Says for each id where its job is. KEYS jobs, then result and job of each id; ARGV group.
 * Returns for each id the outcome | '' still queued or with a worker | 0 lost: delivered, not pending and without outcome,
 * or wiped. What was lost is cleaned up in the same step, so that it can be enqueued again at once.
 *
 * Whether an undelivered entry is really there is not looked up, for that would copy its image. A stream wiped and made
 * again by a worker is empty and holds nobody's job; once it has newer entries, their delivery shows that ours is gone.
 * Takes no memory, so it runs even when Redis is out of it.
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

local replies = {}
for i = 2, #KEYS, 2 do
  local outcome = redis.call('GET', KEYS[i])
  local entry = redis.call('GET', KEYS[i + 1])
  if outcome then
    replies[#replies + 1] = outcome
  elseif entry and (depth > 0 and (not grouped or after(entry, delivered))
      or grouped and #redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1) > 0) then
    replies[#replies + 1] = ''
  else
    if entry then
      redis.call('DEL', KEYS[i + 1])
      if exists then redis.call('XDEL', KEYS[1], entry) end
    end
    replies[#replies + 1] = 0
  end
end
return replies
`
)

/** Takes a job that nobody waits for off the stream; safe in every state. KEYS jobs job; ARGV group. Returns 1 if it was there. */
export const cancelScript = script(
  'cancel',
  `#!lua flags=allow-oom
local entry = redis.call('GET', KEYS[2])
if not entry then return 0 end
redis.call('DEL', KEYS[2])
redis.pcall('XACK', KEYS[1], ARGV[1], entry)
return redis.call('XDEL', KEYS[1], entry)
`
)

/**
 * Removes a consumer, but only one that holds nothing: XGROUP DELCONSUMER would drop its pending jobs without a trace.
 * KEYS jobs; ARGV group, consumer. Returns 1 if it is gone.
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

export const scripts: readonly Script[] = [enqueueScript, finishScript, checkScript, cancelScript, leaveScript]
