import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './pictures.ts'

/** The first value of a batch's images that ends the engine's thread. */
export const deadly = 1

/**
 * The engine's thread, but that it ends at an image that begins with the deadly value, as one does that a native library takes down.
 * Keeps count of how often it was started.
 */
export function createMortalThread(dir: string, imageValues: number) {
  const script = join(dir, 'thread.mjs')
  const starts = join(dir, 'starts')
  const thread = pathToFileURL(join(root, 'apps/worker/dist/engines/thread.js'))
  writeFileSync(starts, '')
  writeFileSync(
    script,
    `
    import { appendFileSync } from 'node:fs'
    import { parentPort } from 'node:worker_threads'
    appendFileSync(${JSON.stringify(starts)}, '.')
    parentPort.on('message', ({ input }) => {
      for (let i = 0; i < input.length; i += ${imageValues}) if (input[i] === ${deadly}) process.exit(7)
    })
    await import(${JSON.stringify(thread.href)})
  `
  )
  return { script: pathToFileURL(script), starts: (): number => readFileSync(starts, 'utf8').length }
}
