import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor, listSupportedBackends } from 'onnxruntime-node'
import type { Engine, EngineOptions } from './engine.ts'
import { fromFloat16, toFloat16, withoutFloat16Array } from './float16.ts'
import { bothClasses, checkGraph, imageDims, type Declared } from './graph.ts'

const providers = { 'onnx-cuda': 'cuda', 'onnx-webgpu': 'webgpu', 'onnx-cpu': 'cpu' } as const

/**
 * The library's defaults but for the threads, which must not spin while they wait: they would take the cores from decoding. Measured
 * with ResNet-50 and MobileNetV2 int8 on two cores, where an image takes:
 *
 *   ResNet-50, nothing else running: 40 ms, 78 of CPU time; spinning 39 and 78; one thread 80 and 80
 *   ResNet-50, cores busy: 90 ms, 90 of CPU time; spinning 155 and 142
 *   MobileNetV2, cores busy: 4.2 ms, 4.2 of CPU time; spinning 10 and 7.5
 *
 * Without the memory arena both take 1.4 times the CPU time; without the memory pattern, with parallel execution or with fewer
 * optimizations nothing is quicker. As many threads as cores: at the same CPU time an image alone takes half as long as on one.
 */
const sessionOptions: InferenceSession.SessionOptions = {
  extra: { session: { intra_op: { allow_spinning: '0' } } },
  logSeverityLevel: 3
}

/**
 * The library looks once, at its first tensor, whether there is a Float16Array (from Node 24 on), and then keeps
 * halves in it. Its native part takes that for an array without elements: "not enough space: expected 96, got 0". So
 * it must find none.
 */
withoutFloat16Array(() => new Tensor('float32', [0], [1]))

/** What the inputs of a model may be, and how it is made of normalized floats. An int8 model has float inputs; one of bytes wants the pixels as they are. */
const inputTensors: Record<string, (values: Float32Array, dims: number[]) => Tensor> = {
  float32: (values, dims) => new Tensor('float32', values, dims),
  float16: (values, dims) => new Tensor('float16', toFloat16(values), dims),
  // Rounds to the nearest and keeps to 0–255.
  uint8: (values, dims) => new Tensor('uint8', new Uint8Array(new Uint8ClampedArray(values).buffer), dims)
}

/** ONNX Runtime. Its `run` blocks the calling thread, whatever its type says. */
export async function openOnnx({ model: { dir, manifest }, artifact, name, threads }: EngineOptions): Promise<Engine> {
  const provider = providers[name as keyof typeof providers]
  assertAvailable(provider)
  const session = await InferenceSession.create(join(dir, artifact.path), {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    ...sessionOptions
  })
  const graph = { inputs: session.inputMetadata.map(toDeclared), outputs: session.outputMetadata.map(toDeclared) }
  const { input, output, fixedBatch } = checkGraph(graph, {
    artifact,
    manifest,
    inputTypes: Object.keys(inputTensors),
    outputTypes: ['float32', 'float16']
  })
  const toTensor = inputTensors[input.type] as (typeof inputTensors)[string]
  const dims = imageDims(manifest, artifact.layout)

  return {
    // CUDA tries cuDNN's algorithms anew for each shape, WebGPU compiles a shader for it.
    batchSizes:
      fixedBatch !== undefined
        ? { kind: 'fixed', size: fixedBatch }
        : { kind: provider === 'cpu' ? 'any' : 'compiled' },
    async run(values, batchSize) {
      const results = await session.run({ [input.name]: toTensor(values, [batchSize, ...dims]) }, [output.name])
      const scores = toFloats(results[output.name], `${artifact.path}: output "${output.name}"`)
      return bothClasses(scores, batchSize, { manifest, artifact })
    },
    close: () => session.release()
  }
}

function toDeclared(value: InferenceSession.ValueMetadata): Declared {
  if (!value.isTensor) return { name: value.name, type: 'a sequence or map', dims: undefined }
  const dims = value.shape.map(dim => (typeof dim === 'number' ? dim : undefined))
  // ONNX Runtime writes an unknown shape like that of a scalar.
  return { name: value.name, type: value.type, dims: dims.length === 0 ? undefined : dims }
}

function toFloats(output: Tensor | undefined, what: string): Float32Array {
  if (output?.type === 'float32') return output.data as Float32Array
  if (output?.type === 'float16') return fromFloat16(output.data as Uint16Array)
  throw new Error(`${what} is ${output?.type ?? 'missing'}`)
}

function assertAvailable(provider: string): void {
  if (provider === 'cpu') return
  if (!hasGpu()) throw new Error('no GPU device on this machine')
  if (!listSupportedBackends().some(({ name }) => name === provider))
    throw new Error(`this build of ONNX Runtime has no support for ${provider}`)
}

/** A GPU's device file, under WSL too. Without one WebGPU would offer a software adapter, slower than the plain CPU provider. */
function hasGpu(): boolean {
  if (platform() !== 'linux') return true
  const renderers = existsSync('/dev/dri') ? readdirSync('/dev/dri').filter(file => file.startsWith('renderD')) : []
  return existsSync('/dev/nvidiactl') || existsSync('/dev/dxg') || renderers.length > 0
}
