import type { WriteStream } from 'node:tty'
import cliProgress from 'cli-progress'
import { formatBytes, formatSeconds } from './format.ts'
import { createMeter, type Reading } from './meter.ts'

export type Output = Pick<WriteStream, 'write'> & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>

/** Shows how far something has come, and lets other lines be said meanwhile. */
export interface Progress {
  update: (received: number, total: number) => void
  say: (line: string) => void
  stop: () => void
}

/** How often the reading is renewed: faster, figures could not be read. */
const redrawMs = 250
/** A log is no place for a moving bar. */
const lineEveryMs = 3_000
const barWidth = 24

/** A bar that redraws itself where `output` is a terminal, else a plain line every few seconds. */
export function createProgress(name: string, output: Output, now = (): number => performance.now()): Progress {
  return output.isTTY === true ? createBar(name, output as WriteStream, now) : createLines(name, output, now)
}

function createBar(name: string, terminal: WriteStream, now: () => number): Progress {
  const meter = createMeter(now)
  let readMs = -redrawMs
  let reading: Reading = { speed: undefined, secondsLeft: undefined }
  const bar = new cliProgress.SingleBar({
    stream: terminal,
    hideCursor: true,
    gracefulExit: false,
    forceRedraw: true,
    // The bar fits in its line by itself, and what is said above it may need two.
    linewrap: null,
    format: (_options, { value, total }) =>
      barLine({ name, received: value, total, reading, columns: terminal.columns })
  })

  return {
    update(received, total) {
      if (!bar.isActive) bar.start(total, received)
      if (now() - readMs >= redrawMs) {
        readMs = now()
        reading = meter.read(received, total)
      }
      bar.update(received)
    },
    say(line) {
      // The bar is drawn again below, at its next turn.
      terminal.write(`\r\u001B[K${line}\n`)
    },
    stop() {
      if (bar.isActive) bar.stop()
    }
  }
}

function barLine({
  name,
  received,
  total,
  reading,
  columns
}: {
  name: string
  received: number
  total: number
  reading: Reading
  columns: number
}): string {
  const done = Math.floor((barWidth * received) / total)
  const bar = `[${'='.repeat(done)}${' '.repeat(barWidth - done)}]`
  const text = described({ received, total, reading })
  // What doesn't fit would wrap, and every redraw would leave a line behind.
  return (
    [`${name} ${bar} ${text}`, `${bar} ${text}`, text].find(line => line.length < columns) ?? text.slice(0, columns - 1)
  )
}

function createLines(name: string, output: Output, now: () => number): Progress {
  const meter = createMeter(now)
  let saidMs = now()
  const say = (line: string): void => {
    output.write(line + '\n')
  }

  return {
    update(received, total) {
      const reading = meter.read(received, total)
      if (now() - saidMs < lineEveryMs) return
      saidMs = now()
      say(`${name}: ${described({ received, total, reading })}`)
    },
    say,
    stop() {}
  }
}

function described({
  received,
  total,
  reading: { speed, secondsLeft }
}: {
  received: number
  total: number
  reading: Reading
}): string {
  const percent = `${Math.floor((100 * received) / total)} %`.padStart(5)
  return [
    `${percent}  ${formatBytes(received)} of ${formatBytes(total)}`,
    ...(speed === undefined ? [] : [`${formatBytes(Math.round(speed))}/s`]),
    ...(secondsLeft === undefined || received === total ? [] : [`${formatSeconds(secondsLeft)} left`])
  ].join(', ')
}
