/** Called when a load, a decode or a batch hangs: the process must end, for a hung one would renew its leases for ever. */
export type OnWedged = (what: string) => void

export interface Watchdog {
  what: string
  ms: number
  onWedged: OnWedged
}

/** The outcome of `work`; `onWedged` is called once if it takes longer than this. */
export async function withWatchdog<T>({ what, ms, onWedged }: Watchdog, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => onWedged(`${what} took longer than ${Math.round(ms)} ms`), ms)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}
