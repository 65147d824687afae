import { basename, dirname, join, posix } from 'node:path'
import type { ReadOptions } from '@streamsight/keras'
import type { Inspected, PlannedFile } from './inspected.ts'
import { isObject, readJsonObject } from './kinds/companion.ts'
import { sizeOfSibling } from './source-files.ts'
import { ModelError } from '../store/error.ts'
import { readGraphTopology, type GraphTopology } from './tfjs-graph.ts'

interface WeightSpec {
  name: string
  shape: number[]
  dtype: string
  quantization?: { dtype: string }
}
interface WeightGroup {
  paths: string[]
  weights: WeightSpec[]
}

/** The parts of a TensorFlow.js model.json that are read here. */
interface ModelJson {
  modelTopology?: GraphTopology
  weightsManifest?: WeightGroup[]
  signature?: GraphTopology['signature']
}

/**
 * What a TensorFlow.js model.json says, of a layers or a graph model. Throws a ModelError if it is neither, if a shard is
 * missing, or if the shards' sizes don't add up to the weights.
 */
export async function inspectTfjs(path: string, options: ReadOptions = {}): Promise<Inspected> {
  const model = await readModelJson(path)
  const topology = model.modelTopology
  if (topology === undefined || model.weightsManifest === undefined)
    throw new ModelError(`${path}: has no "modelTopology" or no "weightsManifest"; a TensorFlow.js model.json has both`)
  const shards = await Promise.all(model.weightsManifest.map(group => shardsOf(group, path)))
  const files = { path: basename(path), files: [{ path: basename(path), from: path }, ...shards.flat()] }
  if (topology.node === undefined) {
    // Imported only where it is needed: it brings megabytes of WebAssembly that read HDF5.
    const { inspectTfjsLayers } = await import('./inspect-keras.ts')
    return await inspectTfjsLayers(path, { ...files, topology }, options)
  }
  const signature = model.signature ?? topology.signature
  const constants = await constantsOf(model.weightsManifest, path)
  const { facts, layout } = readGraphTopology({ ...topology, signature }, constants, path)
  return { artifacts: [{ format: 'tfjs-graph', layout, ...files }], facts, notes: [] }
}

/** Strings and complex numbers among the weights can't be read: then nothing is known of the graph's arithmetic. */
async function constantsOf(manifest: WeightGroup[], path: string): Promise<Map<string, number[]>> {
  const { KerasError, readTfjsConstants } = await import('@streamsight/keras')
  try {
    return await readTfjsConstants(path, manifest, { mostValues: 4 })
  } catch (error) {
    if (error instanceof KerasError) return new Map()
    throw error
  }
}

async function readModelJson(path: string): Promise<ModelJson> {
  const model: ModelJson = await readJsonObject(path)
  const { weightsManifest: groups = [] } = model
  if (!Array.isArray(groups) || !groups.every(isGroup))
    throw new ModelError(`${path}: field "weightsManifest" is not as TensorFlow.js writes it: the file is damaged`)
  return model
}

function isGroup(group: unknown): boolean {
  const { paths, weights } = isObject(group) ? group : {}
  const isPath = (path: unknown) => typeof path === 'string'
  return Array.isArray(paths) && paths.every(isPath) && Array.isArray(weights) && weights.every(isSpec)
}

function isSpec(spec: unknown): boolean {
  const { name, shape, dtype } = isObject(spec) ? spec : {}
  const isSize = (size: unknown) => typeof size === 'number' && Number.isInteger(size) && size >= 0
  return typeof name === 'string' && typeof dtype === 'string' && Array.isArray(shape) && shape.every(isSize)
}

async function shardsOf({ paths, weights }: WeightGroup, modelPath: string): Promise<PlannedFile[]> {
  const folder = dirname(modelPath)
  const files = paths.map(path => ({ path: posix.normalize(path), folder }))
  const sizes = await Promise.all(files.map(({ path }) => sizeOfSibling(folder, path)))
  const given = sizes.reduce((sum, size) => sum + size, 0)
  const wanted = weights.reduce((sum, weight) => sum + bytesOf(weight), 0)
  // Strings have no fixed size.
  if (!Number.isNaN(wanted) && given !== wanted)
    throw new ModelError(
      `${join(dirname(modelPath), paths.join(', '))}: ${given} bytes, ` +
        `but the weights that ${basename(modelPath)} expects there take ${wanted}: download the model again`
    )
  return files
}

const bytesOfType: Record<string, number> = {
  float32: 4,
  int32: 4,
  bool: 1,
  uint8: 1,
  uint16: 2,
  float16: 2,
  complex64: 8
}

function bytesOf({ shape, dtype, quantization }: WeightSpec): number {
  return shape.reduce((product, dim) => product * dim, 1) * (bytesOfType[quantization?.dtype ?? dtype] ?? Number.NaN)
}
