import { basename, dirname, normalize } from 'node:path'
import { TensorProto_DataLocation, TensorProto_DataType, type TensorProto } from 'onnx-buf'
import { ModelError } from '../../store/error.ts'
import type { PlannedFile } from '../inspected.ts'
import { sizeOfSibling } from '../source-files.ts'
import type { OnnxGraph } from './graph-file.ts'

/** Files beside the graph that hold weights too large for it, or kept apart by the exporter. */
export async function externalFiles({ initializers, nodes }: OnnxGraph, path: string): Promise<PlannedFile[]> {
  const constants = nodes.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []))
  const external = [...initializers.values(), ...constants].filter(isExternal)
  const locations = new Map<string, number>()
  for (const tensor of external) {
    const { location, end } = placeOf(tensor, path)
    locations.set(location, Math.max(end, locations.get(location) ?? 0))
  }
  for (const [location, end] of locations) {
    const bytes = await sizeOfSibling(dirname(path), location)
    if (end > bytes) throw new ModelError(`${path}: wants ${end} bytes of "${location}", which has ${bytes}`)
  }
  return [...locations.keys()].map(location => ({ path: location, folder: dirname(path) }))
}

function isExternal({ dataLocation }: TensorProto): boolean {
  return dataLocation === TensorProto_DataLocation.EXTERNAL
}

/** Which file holds a tensor's values, and how much of it must be there. */
function placeOf(tensor: TensorProto, path: string): { location: string; end: number } {
  const { name, externalData } = tensor
  const value = (wanted: string) => externalData.find(({ key }) => key === wanted)?.value
  const location = value('location')
  if (location === undefined)
    throw new ModelError(`${path}: the values of "${name}" lie in another file, but it doesn't say in which`)
  const [offset, length] = [Number(value('offset') ?? 0), Number(value('length') ?? bytesOf(tensor))]
  if (!(offset >= 0 && length >= 0))
    throw new ModelError(`${path}: the place of "${name}" in "${location}" is no number`)
  const normal = normalize(location).replaceAll('\\', '/')
  if (normal === basename(path))
    throw new ModelError(`${path}: says that the values of "${name}" lie in itself, as in another file: it is damaged`)
  return { location: normal, end: offset + length }
}

const bytesPerValue: Partial<Record<TensorProto_DataType, number>> = {
  [TensorProto_DataType.FLOAT]: 4,
  [TensorProto_DataType.FLOAT16]: 2,
  [TensorProto_DataType.BFLOAT16]: 2,
  [TensorProto_DataType.DOUBLE]: 8,
  [TensorProto_DataType.INT64]: 8,
  [TensorProto_DataType.INT32]: 4,
  [TensorProto_DataType.INT8]: 1,
  [TensorProto_DataType.UINT8]: 1
}

/** 0 for types that no exporter keeps apart. */
function bytesOf({ dims, dataType }: TensorProto): number {
  return dims.reduce((product, dim) => product * Number(dim), bytesPerValue[dataType as TensorProto_DataType] ?? 0)
}
