import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { formatBytes, formatSeconds, formatTable } from '../src/format.ts'
import { createMeter } from '../src/meter.ts'
import { createProgress, type Output } from '../src/progress.ts'

/** A clock that moves when it is told to, and an output that remembers. */
function bench(terminal: Partial<Pick<Output, 'isTTY' | 'columns'>> = {}) {
  let nowMs = 0
  let written = ''
  const output: Output = {
    ...terminal,
    write: (text: string | Uint8Array) => {
      written += String(text)
      return true
    }
  }
  return {
    output,
    now: () => nowMs,
    advance: (ms: number) => {
      nowMs += ms
    },
    written: () => written
  }
}

test('sizes and times are written for people', () => {
  assert.deepEqual([0, 999, 1_000, 54_134, 999_949, 102_967_424, 4_000_000_000_000_000].map(formatBytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '54.1 kB',
    '999.9 kB',
    '103.0 MB',
    '4000.0 TB'
  ])
  assert.deepEqual([0.2, 11, 60, 125, 3_600, 3_780].map(formatSeconds), [
    '1 s',
    '11 s',
    '1 min 0 s',
    '2 min 5 s',
    '1 h 0 min',
    '1 h 3 min'
  ])
})

test('a table has columns of equal width and no blanks at the ends of lines', () => {
  assert.equal(
    formatTable([
      ['NAME', 'SIZE', ''],
      ['a', '1', 'x'],
      ['longer', '', '']
    ]),
    'NAME    SIZE\na       1     x\nlonger'
  )
})

test('speed is that of the last seconds, and time left follows from it', () => {
  const { now, advance } = bench()
  const meter = createMeter(now)
  assert.deepEqual(meter.read(50, 1_000), { speed: undefined, secondsLeft: undefined })
  advance(1_000)
  assert.deepEqual(meter.read(150, 1_000), { speed: 100, secondsLeft: 8.5 })
  for (let second = 0; second < 20; second++) {
    advance(1_000)
    meter.read(160 + 10 * second, 1_000)
  }
  assert.equal(meter.read(350, 1_000).speed, 10, 'the first second is forgotten')
})

test('a download that starts anew has no negative speed, and one that stands still no end', () => {
  const { now, advance } = bench()
  const meter = createMeter(now)
  meter.read(500, 1_000)
  advance(1_000)
  assert.deepEqual(meter.read(0, 1_000), { speed: undefined, secondsLeft: undefined })
  advance(1_000)
  assert.deepEqual(meter.read(0, 1_000), { speed: 0, secondsLeft: undefined })
})

test('in a log there is a plain line every few seconds, not one for each piece', () => {
  const { output, now, advance, written } = bench()
  const progress = createProgress('small', output, now)
  for (let piece = 1; piece <= 100; piece++) {
    advance(100)
    progress.update(piece * 10_000, 1_000_000)
  }
  progress.stop()
  assert.deepEqual(written().trimEnd().split('\n'), [
    'small:  30 %  300.0 kB of 1.0 MB, 100.0 kB/s, 7 s left',
    'small:  60 %  600.0 kB of 1.0 MB, 100.0 kB/s, 4 s left',
    'small:  90 %  900.0 kB of 1.0 MB, 100.0 kB/s, 1 s left'
  ])
})

/** The lines as a terminal shows them: what was cleared or overwritten is gone from each. */
function shown(written: string): string[] {
  return written
    .split('\n')
    .flatMap(line => line.split('\r'))
    .map(line => stripVTControlCharacters(line))
    .filter(line => line !== '')
}

test('on a terminal there is a bar that fits in its line, however narrow, and lines can be said above it', () => {
  for (const columns of [100, 60, 30]) {
    const { output, now, advance, written } = bench({ isTTY: true, columns })
    const progress = createProgress('small', output, now)
    progress.update(0, 1_000_000)
    advance(1_000)
    progress.update(250_000, 1_000_000)
    progress.say('the server answers 503')
    advance(1_000)
    progress.update(500_000, 1_000_000)
    progress.stop()
    const lines = shown(written())
    assert.ok(lines.includes('the server answers 503'))
    assert.ok(
      lines.every(line => line.length < columns),
      lines.join('\n')
    )
    assert.match(
      lines.at(-1) ?? '',
      columns === 100
        ? /^small \[={12} {12}\] {2}50 % {2}500\.0 kB of 1\.0 MB, 250\.0 kB\/s, 2 s left$/
        : / 50 % {2}500\.0 kB of/
    )
  }
})
