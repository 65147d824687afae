import { entryTimeMs, type Clock, type Delivery } from '@streamsight/protocol'

/** Milliseconds since the job was enqueued, on Redis' clock: the first half of its entry's id. */
export function ageMs(clock: Clock, entry: string): number {
  return clock.now() - entryTimeMs(entry)
}

/** Milliseconds until nobody waits for the answer any more; below 0 once nobody does. */
export function remainingMs(clock: Clock, { entry, job }: Pick<Delivery, 'entry' | 'job'>): number {
  return job.ttlMs - ageMs(clock, entry)
}
