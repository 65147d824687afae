/** What a worker does for one model, as far as its neighbours in the same process must know. */
export interface Neighbour {
  /** Resolves once it has no job in hand. It takes none while another holds the lock exclusively. */
  untilIdle: () => Promise<void>
}

/**
 * A readers–writer lock. The models of one worker take jobs side by side (shared), but a redelivered job runs alone
 * in the whole process (exclusive): should it end the process, no other model's job is counted as having taken a
 * worker down.
 */
export function createExclusiveLock() {
  const neighbours = new Set<Neighbour>()
  let exclusive: Promise<unknown> | undefined

  return {
    join(neighbour: Neighbour): void {
      neighbours.add(neighbour)
    },

    /** Runs `task` beside other shared ones, but never beside an exclusive one. */
    async runShared<T>(task: () => Promise<T>): Promise<T> {
      while (exclusive !== undefined) await exclusive
      // No await between the check and the start: an exclusive task must see that this one has begun.
      return await task()
    },

    /** Runs `task` once all neighbours of `self` are idle, and keeps them so until it has ended. */
    async runExclusive<T>(self: Neighbour, task: () => Promise<T>): Promise<T> {
      while (exclusive !== undefined) await exclusive
      const others = [...neighbours].filter(other => other !== self)
      const running = Promise.all(others.map(other => other.untilIdle())).then(task)
      exclusive = running
        .catch(() => {})
        .finally(() => {
          exclusive = undefined
        })
      return await running
    }
  }
}

export type ExclusiveLock = ReturnType<typeof createExclusiveLock>
