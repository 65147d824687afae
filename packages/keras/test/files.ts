import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext } from 'node:test'
import * as tf from '@tensorflow/tfjs-core'
import { type LayersModel } from '@tensorflow/tfjs-layers'
import { File, ready, type Group } from 'h5wasm/node'

export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'streamsight-keras-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Saves a model as TensorFlow.js does; gives the path of its model.json. */
export async function saveTfjs(model: LayersModel, folder: string): Promise<string> {
  const path = join(folder, 'model.json')
  await model.save(
    tf.io.withSaveHandler(async artifacts => {
      const { modelTopology, weightSpecs, weightData } = artifacts
      writeFileSync(
        path,
        JSON.stringify({
          format: 'layers-model',
          modelTopology,
          weightsManifest: [{ paths: ['group1-shard1of1.bin'], weights: weightSpecs }]
        })
      )
      writeFileSync(join(folder, 'group1-shard1of1.bin'), new Uint8Array(weightData as ArrayBuffer))
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) }
    })
  )
  return path
}

export interface H5Tensor {
  name: string
  shape: readonly number[]
  data: Float32Array
}

/** Writes an HDF5 file; gives its path. */
export async function writeH5(path: string, fill: (root: Group) => void): Promise<string> {
  await ready
  const file = new File(path, 'w')
  fill(file)
  file.close()
  return path
}

/** The layout of `save_weights` in Keras 2, which a whole model has in its group `model_weights`. */
export function fillLayers(root: Group, layers: ReadonlyMap<string, readonly H5Tensor[]>): void {
  root.create_attribute('layer_names', [...layers.keys()])
  for (const [layer, tensors] of layers) {
    const group = root.create_group(layer)
    group.create_attribute('weight_names', tensors.length === 0 ? new Float64Array(0) : tensors.map(({ name }) => name))
    for (const tensor of tensors) createTensor(group, tensor)
  }
}

/** Datasets of HDF5 have no slashes in their names: all but the last part are groups. */
export function createTensor(group: Group, { name, shape, data }: H5Tensor): void {
  const parts = name.split('/')
  const last = parts.pop() ?? ''
  const parent = parts.reduce(
    (parent, part) => (parent.keys().includes(part) ? (parent.get(part) as Group) : parent.create_group(part)),
    group
  )
  parent.create_dataset({ name: last, data, shape: [...shape], dtype: '<f' })
}

/** The weights of each layer of a model, as Keras 2 names them; those of a nested model are the nested model's. */
export async function tensorsByLayer(model: LayersModel): Promise<Map<string, H5Tensor[]>> {
  const layers = new Map<string, H5Tensor[]>()
  for (const layer of model.layers) {
    const tensors = layer.weights.map(async weight => ({
      name: `${weight.originalName}:0`,
      shape: weight.shape.map(Number),
      data: await weight.read().data<'float32'>()
    }))
    layers.set(layer.name, await Promise.all(tensors))
  }
  return layers
}

export interface ModelFile {
  config: object
  layers: Map<string, H5Tensor[]>
  version?: string
}

/** A whole model as Keras' `model.save('….h5')` writes it. */
export async function saveModel(folder: string, { config, layers, version = '2.15.0' }: ModelFile): Promise<string> {
  return await writeH5(join(folder, 'model.h5'), root => {
    root.create_attribute('model_config', JSON.stringify(config))
    root.create_attribute('keras_version', version)
    fillLayers(root.create_group('model_weights'), layers)
  })
}
