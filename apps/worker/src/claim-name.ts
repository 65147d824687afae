import { readFileSync, readlinkSync } from 'node:fs'
import { kill } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { limits, type NameHolder, type Registration, type WorkerReport } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'

/** One of the models that a worker serves: where its workers are registered, and what it will say there first. */
export interface Registering {
  registration: Registration
  firstReport: (name: string) => WorkerReport
}

export interface ClaimOptions {
  /** The name to have, unless another worker that lives has it. */
  wanted: string
  parts: Registering[]
  pid: number
  log: Logger
}

/** A worker that lives is heard of within this time. */
const silenceMs = 2.5 * limits.heartbeatMs

/**
 * The name under which this worker joins its groups: the wanted one, or the next that is free. Two workers of one
 * name would take each other's jobs for their own, and do them twice. A worker that comes back after a crash gets its
 * own name at once, and so the jobs that it left.
 */
export async function claimName({ wanted, parts, pid, log }: ClaimOptions): Promise<string> {
  for (let suffix = 2, name = wanted; ; name = `${wanted}.${suffix++}`) {
    const holder = await claimEverywhere(name, parts, pid)
    if (holder === undefined) return name
    log.warn(
      { event: 'name-taken', name, holderPid: holder.pid },
      `Another worker runs as ${name} (process ${holder.pid}): give each its own WORKER_SLOT. Trying the next name`
    )
  }
}

/** For all models or for none. Resolves to the holder that lives. */
async function claimEverywhere(name: string, parts: Registering[], pid: number): Promise<NameHolder | undefined> {
  const claimed: Registration[] = []
  for (const { registration, firstReport } of parts) {
    const holder = await claim(registration, firstReport(name), pid)
    if (holder === undefined) {
      claimed.push(registration)
    } else {
      for (const earlier of claimed) await earlier.remove(name)
      return holder
    }
  }
  return undefined
}

async function claim(registration: Registration, report: WorkerReport, pid: number): Promise<NameHolder | undefined> {
  const holder = await registration.claim(report)
  if (holder === undefined) return undefined
  if (!hasEnded(holder, pid)) await sleep(silenceMs)
  // Fails where the holder was heard of again, or another worker was quicker.
  return await registration.claim(report, holder)
}

/** Certain only of a process that would be here. Of any other its silence has to tell. */
function hasEnded(holder: NameHolder, pid: number): boolean {
  if (holder.pid === undefined || holder.pid === pid || holder.pidSpace !== pidSpace) return false
  try {
    kill(holder.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** Two processes that read the same here see each other's process ids. */
export const pidSpace = readPidSpace()

function readPidSpace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    // Not Linux: no containers, and the name has the host's name in it.
    return 'host'
  }
}
