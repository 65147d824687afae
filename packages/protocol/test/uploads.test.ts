import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUploads, limits } from '@streamsight/protocol'

const half = limits.uploadWindowBytes / 2

/** Uploads whose end the test decides, on a link of 1 MiB a second. */
function openUploads() {
  const uploads = createUploads({ uploadBytesPerSecond: () => limits.uploadWindowBytes })
  const started: string[] = []
  const ends = new Map<string, () => void>()
  return {
    uploads,
    started,
    begin: (name: string, bytes = half, isWanted = () => true) =>
      uploads.upload({
        bytes,
        isWanted,
        send: () => {
          started.push(name)
          return new Promise<string>(resolve => ends.set(name, () => resolve(name)))
        }
      }),
    end: (name: string) => ends.get(name)?.()
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

test('no more than the window is on its way at once, and the others follow in their order', async () => {
  const { begin, end, started } = openUploads()
  const all = ['a', 'b', 'c', 'd'].map(name => begin(name))
  assert.deepEqual(started, ['a', 'b'])
  end('a')
  await turns()
  assert.deepEqual(started, ['a', 'b', 'c'])
  for (const name of ['b', 'c']) end(name)
  await turns()
  end('d')
  assert.deepEqual(await Promise.all(all), ['a', 'b', 'c', 'd'])
})

test('an image that is larger than the window goes alone', async () => {
  const { begin, end, started } = openUploads()
  void begin('huge', 10 * limits.uploadWindowBytes)
  void begin('small', 1)
  assert.deepEqual(started, ['huge'])
  end('huge')
  await turns()
  assert.deepEqual(started, ['huge', 'small'])
})

test('B3: what nobody waits for any more is never sent', async () => {
  const { begin, end, started, uploads } = openUploads()
  let isWanted = true
  void begin('first', 2 * half)
  const left = begin('left', half, () => isWanted)
  void begin('last')
  isWanted = false
  assert.equal(uploads.bytes(), 3 * half)
  end('first')
  assert.equal(await left, undefined)
  assert.deepEqual(started, ['first', 'last'])
})

test('B3: how long an image would wait here is told by what waits and what the link carries', async () => {
  const { begin, end, uploads } = openUploads()
  void begin('first', 2 * half)
  assert.equal(uploads.waitMs(), 0, 'what is on its way keeps nobody waiting that fits beside or after it')
  void begin('second', 2 * half)
  assert.equal(uploads.waitMs(), 2_000)
  end('first')
  await turns()
  assert.equal(uploads.waitMs(), 0)
})
