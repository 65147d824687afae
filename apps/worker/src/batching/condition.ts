/** Lets one part of a program wait for what another does, without looking again and again. */
export function createCondition() {
  let waiting: Array<() => void> = []

  return {
    /** Resolves once `holds` is true; asked again at each `changed`. */
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) await new Promise<void>(resolve => waiting.push(resolve))
    },

    /** Resolves at the next `changed`, or after `ms`. */
    async next(ms: number): Promise<void> {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, ms)
        waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    },

    changed(): void {
      const woken = waiting
      waiting = []
      for (const wake of woken) wake()
    }
  }
}

export type Condition = ReturnType<typeof createCondition>
