import { Presets, SingleBar } from 'cli-progress'

/** A bar on the terminal that fills with the planned time; nothing where there is no terminal but a line for each step. */
export function createProgress(plannedMs: number) {
  const startedMs = performance.now()
  const bar = new SingleBar(
    { format: '{bar} {percentage}% · {step}', clearOnComplete: true, hideCursor: true, stream: process.stderr },
    Presets.shades_classic
  )
  let timer: NodeJS.Timeout | undefined
  if (process.stderr.isTTY) {
    bar.start(plannedMs, 0, { step: 'starting' })
    timer = setInterval(() => bar.update(Math.min(plannedMs, performance.now() - startedMs)), 250)
  }

  return {
    step(step: string): void {
      if (timer === undefined) console.error(`${((performance.now() - startedMs) / 1_000).toFixed(0)} s: ${step}`)
      else bar.update({ step })
    },

    stop(): void {
      clearInterval(timer)
      if (timer !== undefined) bar.stop()
    }
  }
}

export type Progress = ReturnType<typeof createProgress>
