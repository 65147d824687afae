import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { until } from '../../../test/support/until.ts'
import { createLineWriter } from '../src/line-writer.ts'

function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'log')
  const fd = openSync(path, 'a')
  const lost: Array<{ lines: number; reason: string }> = []
  const writer = createLineWriter({
    fd,
    onRecovered: loss => {
      lost.push(loss)
    }
  })
  const flush = () => new Promise<void>(resolve => writer.flush(resolve))
  return { fd, path, lost, writer, flush, written: () => readFileSync(path, 'utf8') }
}

test('lines are written in their order, without anybody asking for it', async t => {
  const { writer, written, flush } = open(t)
  const lines = Array.from({ length: 5_000 }, (_, i) => `{"line":${i}}\n`)
  for (const line of lines) writer.write(line)
  await flush()
  assert.equal(written(), lines.join(''))
  writer.write('late\n')
  await until('the last one is written too', () => written().endsWith('late\n'))
})

test('B10: lines that can’t be written are counted, and the count is told once writing works again', async t => {
  const { fd, path, lost, writer, written, flush } = open(t)
  writer.write('before\n')
  await flush()
  // To write to a closed descriptor fails at once, as on a full disk. The next file that is opened gets its number.
  closeSync(fd)
  for (let i = 0; i < 3; i++) writer.write('gone\n')
  await flush()
  writer.write('gone\n')
  await flush()
  assert.deepEqual(lost, [])
  assert.equal(openSync(path, 'a'), fd)
  writer.write('after\n')
  await flush()
  assert.deepEqual(lost, [{ lines: 4, reason: 'EBADF' }])
  assert.equal(written(), 'before\nafter\n')
})

test('B10: at the end of a process what can’t be written is given up', t => {
  const { fd, path, writer } = open(t)
  closeSync(fd)
  writer.write('gone\n')
  writer.flushSync()
  assert.equal(openSync(path, 'a'), fd)
})
