import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { floatOf16 } from './bytes.ts'
import { KerasError } from './error.ts'
import { buildNetwork } from './build.ts'
import { forFile, majorVersion } from './file.ts'
import { sizeOf, type Network } from './ir.ts'
import { type ReadOptions } from './read-h5.ts'
import { recognize } from './architectures.ts'
import { isConfig, type Config } from './config.ts'
import { readTopology } from './topology.ts'
import { runsInTfjs } from './runs-in-tfjs.ts'
import { byName, type StoredTensor } from './weights.ts'

export interface TfjsLayers {
  network: Network
  /** Whether TensorFlow.js runs the files as they are. */
  runsAsItIs: boolean
}

/**
 * The network in a TensorFlow.js layers model: `path` is its model.json, with the shards that it names beside it. Weights can be
 * float32 or quantized to float16, uint8 or uint16. Throws a KerasError that names the file, and the layer if it is one's fault.
 */
export async function readTfjsLayers(
  path: string,
  options: Omit<ReadOptions, 'architecture'> = {}
): Promise<TfjsLayers> {
  const model = await readModelJson(path)
  const topology = isConfig(model['modelTopology']) ? model['modelTopology'] : undefined
  if (topology === undefined) throw new KerasError(`${path}: no "modelTopology": not a model.json of TensorFlow.js`)
  if (model['format'] === 'graph-model' || topology['node'] !== undefined)
    throw new KerasError(`${path}: a TensorFlow.js graph model: only layers models say what their layers are`)
  const tensors = await readWeights(path, Array.isArray(model['weightsManifest']) ? model['weightsManifest'] : [])

  return forFile(path, () => {
    // A converted model has Keras' file inside it; one saved by TensorFlow.js is the model itself.
    const layers = readTopology(topology['model_config'] ?? topology, options)
    const network = buildNetwork({
      ...options,
      topology: layers,
      weights: new Map(layers.layers.map(layer => [layer.name, byName(layer, tensors)])),
      kerasVersion: majorVersion(topology['keras_version']),
      architecture: recognize(layers.layers)
    })
    return { network, runsAsItIs: runsInTfjs(topology, layers) }
  })
}

async function readModelJson(path: string): Promise<Config> {
  const bytes = await readBytes(path)
  try {
    const model: unknown = JSON.parse(bytes.toString('utf8'))
    if (isConfig(model)) return model
  } catch (error) {
    throw new KerasError(`${path}: not JSON: ${(error as Error).message}`)
  }
  throw new KerasError(`${path}: not a model.json of TensorFlow.js`)
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new KerasError(
      `${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`
    )
  }
}

/** Those tensors of a model's weights that hold few values, by name: the numbers in a graph's arithmetic. */
export async function readTfjsConstants(
  path: string,
  manifest: readonly unknown[],
  { mostValues }: { mostValues: number }
): Promise<Map<string, number[]>> {
  const tensors = await readWeights(path, manifest)
  const small = tensors.filter(({ shape }) => sizeOf(shape) <= mostValues)
  return new Map(small.map(({ name, read }) => [name, [...read()]]))
}

/** The tensors of all groups; a group's shards are one run of bytes. */
async function readWeights(path: string, manifest: readonly unknown[]): Promise<StoredTensor[]> {
  const tensors: StoredTensor[] = []
  for (const group of manifest) {
    const { paths, weights } = isConfig(group) ? group : {}
    if (!Array.isArray(paths) || !Array.isArray(weights))
      throw new KerasError(`${path}: field "weightsManifest" is not as TensorFlow.js writes it`)
    const outside = paths.find(shard => /^[/\\]|^\w:|(^|[/\\])\.\.([/\\]|$)/.test(String(shard)))
    if (outside !== undefined) throw new KerasError(`${path}: its shard "${String(outside)}" is not in its folder`)
    const bytes = Buffer.concat(await Promise.all(paths.map(shard => readBytes(join(dirname(path), String(shard))))))
    tensors.push(...forFile(path, () => splitGroup(bytes, weights)))
  }
  return tensors
}

function splitGroup(bytes: Buffer, weights: readonly unknown[]): StoredTensor[] {
  let offset = 0
  return weights.map(weight => {
    const spec = parseSpec(weight)
    const { name, shape, type } = spec
    const length = sizeOf(shape) * type.bytes
    const start = offset
    offset += length
    if (offset > bytes.length)
      throw new KerasError(
        `weight "${name}" needs ${offset} bytes of its shards, which have ${bytes.length}: a shard is missing or cut short`
      )
    return { name, shape, read: () => decode(bytes.subarray(start, start + length), spec) }
  })
}

interface Encoding {
  bytes: number
  read: (view: DataView, offset: number) => number
}
interface Spec {
  name: string
  shape: number[]
  type: Encoding
  scale: number
  min: number
}

const encodings: ReadonlyMap<string, Encoding> = new Map([
  ['float32', { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) }],
  ['float16', { bytes: 2, read: (view, offset) => floatOf16(view.getUint16(offset, true)) }],
  ['uint16', { bytes: 2, read: (view, offset) => view.getUint16(offset, true) }],
  ['uint8', { bytes: 1, read: (view, offset) => view.getUint8(offset) }],
  ['bool', { bytes: 1, read: (view, offset) => view.getUint8(offset) }],
  ['int32', { bytes: 4, read: (view, offset) => view.getInt32(offset, true) }]
])

/** A quantized weight is value · scale + min. */
function parseSpec(weight: unknown): Spec {
  const { name, shape, dtype, quantization } = isConfig(weight) ? weight : {}
  const isShape = Array.isArray(shape) && shape.every(size => Number.isSafeInteger(size) && size >= 0)
  if (typeof name !== 'string' || !isShape)
    throw new KerasError('field "weightsManifest": a weight without a name or a shape')
  const packed = isConfig(quantization) ? quantization : {}
  const type = encodings.get(String(packed['dtype'] ?? dtype))
  if (type === undefined)
    throw new KerasError(
      `weight "${name}" is ${String(packed['dtype'] ?? dtype)}: only ${[...encodings.keys()].join(', ')} are supported`
    )
  return { name, shape, type, scale: Number(packed['scale'] ?? 1), min: Number(packed['min'] ?? 0) }
}

function decode(bytes: Buffer, { shape, type, scale, min }: Spec): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => type.read(view, i * type.bytes) * scale + min)
}
