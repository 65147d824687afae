import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test, type TestContext } from 'node:test'
import { efficientnetb0, imageNetDeviations } from '../src/architectures/efficientnetb0.ts'
import { mobilenetv2 } from '../src/architectures/mobilenetv2.ts'
import { newNaming, oldNaming, resnet50 } from '../src/architectures/resnet50.ts'
import { type Network } from '../src/ir.ts'
import { readKerasH5 } from '../src/read-h5.ts'
import { type KerasLayer } from '../src/topology.ts'
import { weightKinds } from '../src/weights.ts'
import { createTensor, fillLayers, temporaryFolder, writeH5, type H5Tensor } from './files.ts'
import { createRandom, randomImages, randomWeights } from './random.ts'
import { best, largestDifference, probabilities, runOnnx, runTfjs, useWasm } from './run.ts'

before(useWasm)

type Filters = (layer: KerasLayer, inputs: number) => number
type Tensors = Map<string, H5Tensor[]>

/** Random weights of the shapes that a network of the given widths needs, in Keras' order. */
function randomTensors(layers: readonly KerasLayer[], filters: Filters): Tensors {
  const random = createRandom(9)
  const channels = new Map<string, number>([['input', 3]])
  const tensors: Tensors = new Map()
  for (const layer of layers.slice(1)) {
    const inputs = channels.get(layer.inputs[0] ?? '') ?? 0
    const outputs = ['Conv2D', 'Dense'].includes(layer.className) ? filters(layer, inputs) : inputs
    channels.set(layer.name, outputs)
    const kernelSize = Number(layer.config['kernel_size'])
    const shapes: Record<string, number[]> = {
      kernel: layer.className === 'Dense' ? [inputs, outputs] : [kernelSize, kernelSize, inputs, outputs],
      depthwise_kernel: [kernelSize, kernelSize, inputs, 1],
      count: []
    }
    const own = weightKinds(layer).map(kind => {
      const shape = shapes[kind] ?? [outputs]
      return { name: `${layer.name}/${kind}:0`, shape, data: randomWeights(random, { kind, shape }) }
    })
    if (own.length > 0) tensors.set(layer.name, own)
  }
  return tensors
}

async function saveLegacy(t: TestContext, tensors: Tensors): Promise<string> {
  return await writeH5(join(temporaryFolder(t), 'weights.h5'), root => fillLayers(root, tensors))
}

/** The layers of each class in the order in which Keras 3.15 numbered them when it saved these networks. */
const order = JSON.parse(readFileSync(join(import.meta.dirname, 'order.json'), 'utf8')) as Record<
  string,
  Record<string, string[]>
>

async function saveKeras3(t: TestContext, name: string, tensors: Tensors): Promise<string> {
  return await writeH5(join(temporaryFolder(t), 'model.weights.h5'), root => {
    for (const [className, layers] of Object.entries(order[name] ?? {})) {
      layers.forEach((layer, i) => {
        tensors
          .get(layer)
          ?.forEach(({ shape, data }, j) =>
            createTensor(root, { name: `layers/${className}${i === 0 ? '' : `_${i}`}/vars/${j}`, shape, data })
          )
      })
    }
  })
}

async function assertArtifactsAgree(network: Network): Promise<void> {
  const images = randomImages({ count: 1, height: 224, width: 224, seed: 2 })
  const [onnx, tfjs] = [await runOnnx(network, images), await runTfjs(network, images)].map(scores =>
    probabilities(scores, network)
  )
  const difference = largestDifference(onnx?.[0] ?? new Float32Array(), tfjs?.[0] ?? new Float32Array(1))
  assert.ok(difference <= 1e-4, `ONNX and TensorFlow.js differ by ${difference}`)
  assert.deepEqual(onnx?.map(best), tfjs?.map(best))
  assert.ok(Math.max(...(onnx?.[0] ?? [])) > 1.1 / network.classes, 'scores that differ')
}

/** He et al. 2015, table 1. */
function resnetFilters({ name, className }: KerasLayer): number {
  if (className === 'Dense') return 1_000
  const stage = Number(/^(?:res|conv)(\d)(?:[a-f]_|_block)/.exec(name)?.[1] ?? 2)
  return 64 * 2 ** (stage - 2) * (/branch1|branch2c|_[03]_conv/.test(name) ? 4 : 1)
}

/** Every residual adds to what it came from: with half the spread for its last normalization they grow no further than trained ones. */
function calm(tensors: Tensors): Tensors {
  for (const { name, data } of [...tensors.values()].flat()) {
    if (/(branch2c|_3_bn|project_BN|project_bn)\/gamma/.test(name))
      data.forEach((value, i) => {
        data[i] = value / 4
      })
  }
  return tensors
}

test('ResNet50 in the file of 2016: recognized, and the same in both artifacts', async t => {
  const layers = resnet50(oldNaming)
  const network = await readKerasH5(await saveLegacy(t, calm(randomTensors(layers, resnetFilters))))
  assert.deepEqual(
    [network.architecture, network.classes, network.activation, network.input],
    ['resnet50', 1_000, 'softmax', { width: 224, height: 224 }]
  )
  // 53 convolutions and a dense layer; no normalization is left.
  assert.equal(network.layers.filter(({ kind }) => kind === 'conv').length, 53)
  assert.ok(network.layers.every(({ kind }) => kind !== 'affine'))
  await assertArtifactsAgree(network)
})

const narrow: Filters = ({ name, className, inputs }, channels) =>
  className === 'Dense'
    ? 10
    : /se_expand/.test(name)
      ? 8
      : /se_reduce/.test(name)
        ? 2
        : inputs.length === 0
          ? channels
          : 8

for (const [name, layers] of [
  ['resnet50', resnet50(newNaming)],
  ['mobilenetv2', mobilenetv2()],
  ['efficientnetb0', efficientnetb0({ dividesTwice: false })]
] as const) {
  test(`${name} of any width, from both forms of weights`, async t => {
    const tensors = calm(randomTensors(layers, narrow))
    const legacy = await readKerasH5(await saveLegacy(t, tensors))
    const keras3 = await readKerasH5(await saveKeras3(t, name, tensors), { architecture: name })
    assert.equal(legacy.architecture, name)
    assert.deepEqual(keras3, legacy)
    await assertArtifactsAgree(legacy)
  })
}

test('the ImageNet weights of EfficientNetB0 have deviations in the place of variances: they are divided by in full', async t => {
  const tensors = randomTensors(efficientnetb0({ dividesTwice: false }), narrow)
  const [mean, variance] = tensors.get('normalization') ?? []
  assert.ok(mean !== undefined && variance !== undefined)
  variance.data.set(imageNetDeviations)
  const {
    layers: [, front]
  } = await readKerasH5(await saveLegacy(t, tensors))
  assert.ok(front?.kind === 'affine')
  const expected = Float32Array.from(imageNetDeviations, deviation => 1 / 255 / deviation)
  assert.ok(largestDifference(front.scale, expected) <= 1e-7)
  assert.ok(
    largestDifference(
      front.offset,
      Float32Array.from(imageNetDeviations, (deviation, i) => -(mean.data[i] ?? 0) / deviation)
    ) <= 1e-5
  )
})

test('weights without their classifier are refused by what is missing', async t => {
  const tensors = randomTensors(mobilenetv2(), narrow)
  tensors.delete('predictions')
  const path = await saveLegacy(t, tensors)
  await assert.rejects(readKerasH5(path, { architecture: 'mobilenetv2' }), {
    code: 'KERAS',
    message: /weights\.h5: these are not the weights of a whole mobilenetv2: there are none for "predictions"/
  })
  await assert.rejects(readKerasH5(path, { architecture: 'resnet50' }), {
    code: 'KERAS',
    message: /not the weights of a whole resnet50/
  })
})
