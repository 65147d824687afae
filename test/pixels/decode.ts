/**
 * Decodes files as a worker does: `decode.ts SIDE FILE…`. A line of JSON for each: the means of 8 × 8 cells, or why there are none.
 */
import { readFileSync } from 'node:fs'
import { createDecoder } from '../../apps/worker/dist/pixels/decode.js'
import { withinMemory } from '../../apps/worker/dist/pixels/decode-memory.js'
import { sniff } from '../../packages/images/dist/index.js'
import { cellsOf, type Seen } from './cells.ts'

const [size = '64', ...files] = process.argv.slice(2)
const side = Number(size)

const decoder = withinMemory(
  await createDecoder({
    width: side,
    height: side,
    channels: 'RGB',
    fit: 'fill',
    cropFraction: 1,
    kernel: 'linear',
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1]
  }),
  {
    maxPixels: 50e6,
    maxBytes: 250e6,
    maxRunning: 1,
    maxLarge: 1,
    onWedged: what => {
      throw new Error(what)
    }
  }
)

for (const file of files) console.log(JSON.stringify(await see(file)))
await decoder.close()

async function see(file: string): Promise<Seen> {
  const image = readFileSync(file)
  const format = sniff(image)
  if (format === undefined) return { file, refused: 'not a format that is read' }
  const startedMs = performance.now()
  try {
    const rgb = await decoder.decode(image, format)
    return { file, cells: cellsOf(rgb, side), ms: performance.now() - startedMs }
  } catch (error) {
    return { file, refused: (error as Error).message }
  }
}
