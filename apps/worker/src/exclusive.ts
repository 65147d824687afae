/** What a worker does for one model, as far as its neighbours in the same process must know. */
export interface Neighbour {
  /** Resolves once it has no job in hand. It takes none while another is alone. */
  untilIdle: () => Promise<void>
}

/**
 * Lets the models of one worker work side by side, but a redelivered job alone in the whole process: should it end the
 * process, no other model's job is counted as having taken a worker down.
 */
export function createExclusive() {
  const neighbours = new Set<Neighbour>()
  let alone: Promise<unknown> | undefined

  return {
    join(neighbour: Neighbour): void {
      neighbours.add(neighbour)
    },

    /** Runs `task` beside others, but beside nobody who is alone. */
    async shared<T>(task: () => Promise<T>): Promise<T> {
      while (alone !== undefined) await alone
      // With no turn of the event loop between: who wants to be alone must see that this one has begun.
      return await task()
    },

    /** Runs `task` once all others are idle, and keeps them so until it has ended. */
    async alone<T>(self: Neighbour, task: () => Promise<T>): Promise<T> {
      while (alone !== undefined) await alone
      const others = [...neighbours].filter(other => other !== self)
      const turn = Promise.all(others.map(other => other.untilIdle())).then(task)
      alone = turn
        .catch(() => {})
        .finally(() => {
          alone = undefined
        })
      return await turn
    }
  }
}

export type Exclusive = ReturnType<typeof createExclusive>
