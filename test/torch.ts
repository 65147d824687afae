/** `npm run test:torch`: what PyTorch computes, against what the worker computes from the ONNX files that it exports. */
import { join } from 'node:path'
import { comparePhotos } from './support/photos.ts'
import { prepareEnvironment, pythonOf } from './support/python.ts'

const sources = join(import.meta.dirname, 'torch')
const environment = {
  folder: join(import.meta.dirname, '../.venv-torch'),
  requirements: join(sources, 'requirements.txt')
}
const columns = [8, 20, 18, 11, 12] as const

await main()

async function main(): Promise<void> {
  const obstacle = prepareEnvironment(environment)
  if (obstacle !== undefined) return console.log(`Nothing was compared with PyTorch: ${obstacle}`)
  say(['from', 'model', 'exporter', 'engine', 'difference'], 'same best')
  const passes = await comparePhotos({
    python: pythonOf(environment),
    script: join(sources, 'torch_models.py'),
    engines: ['onnx-cpu'],
    label: 'torch',
    say
  })
  const failed = passes.filter(passed => !passed).length
  console.log(`${passes.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

function say(cells: readonly string[], last: string): void {
  console.log(cells.map((cell, i) => cell.padEnd(columns[i] ?? 0)).join('') + last)
}
