import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor, listSupportedBackends } from 'onnxruntime-node'
import type { Engine, EngineOptions } from '../engine.ts'

const providers = { 'onnx-cuda': 'cuda', 'onnx-webgpu': 'webgpu', 'onnx-cpu': 'cpu' } as const

/** ONNX Runtime. Its `run` blocks the calling thread, whatever its type says. */
export async function openOnnx ({ model, artifact, name, threads }: EngineOptions): Promise<Engine> {
  const provider = providers[name as keyof typeof providers]
  assertAvailable(provider)
  const { width, height } = model.manifest.input
  const session = await InferenceSession.create(join(model.dir, artifact.path), {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    // Threads that spin while they wait take the cores from decoding: on two cores 1.3 times fewer images a second.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    logSeverityLevel: 3
  })
  const [inputName] = session.inputNames
  const [outputName] = session.outputNames
  if (inputName === undefined || outputName === undefined) throw new Error(`${artifact.path}: a graph without input or output`)
  const dims = artifact.layout === 'NCHW' ? [3, height, width] : [height, width, 3]

  return {
    async run (input, batchSize) {
      const results = await session.run({ [inputName]: new Tensor('float32', input, [batchSize, ...dims]) })
      const output = results[outputName]
      if (!(output?.data instanceof Float32Array)) throw new Error(`${artifact.path}: output "${outputName}" is ${output?.type ?? 'missing'}, not float32`)
      return output.data.slice()
    },
    close: () => session.release()
  }
}

function assertAvailable (provider: string): void {
  if (provider === 'cpu') return
  if (!hasGpu()) throw new Error('no GPU device on this machine')
  if (provider === 'cuda' && !listSupportedBackends().some(({ name }) => name === 'cuda')) throw new Error('this build of ONNX Runtime has no CUDA support')
}

/** A GPU's device file. Without one WebGPU would offer a software adapter, slower than the plain CPU provider. */
function hasGpu (): boolean {
  if (platform() !== 'linux') return true
  const renderers = existsSync('/dev/dri') ? readdirSync('/dev/dri').filter(file => file.startsWith('renderD')) : []
  return existsSync('/dev/nvidiactl') || renderers.length > 0
}
