import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { readKerasH5 } from '../src/read-h5.ts'
import { fillLayers, temporaryFolder, writeH5, type H5Tensor } from './files.ts'
import { conv, fits, input, kernel, node, tensor, weights, type Json } from './refusal-models.ts'
import { flatten, functional, layer, probe, scores, sequence } from './refusal-models.ts'

const cases: Array<[name: string, model: unknown, own: H5Tensor[], message: RegExp]> = [
  [
    'a layer of an unknown class, by its name',
    probe('Conv3D'),
    [],
    /layer "own" \(Conv3D\): this class of layer is not supported; those that are: .*Conv2D/
  ],
  ['a class that JavaScript knows', probe('constructor'), [], /layer "own" \(constructor\): this class/],
  [
    'an unknown layer of a nested model',
    sequence(
      input,
      { ...sequence(layer('Lambda')), config: { name: 'inner', layers: [layer('Lambda')] } },
      flatten,
      scores(5)
    ),
    [],
    /layer "inner\/own" \(Lambda\)/
  ],
  [
    'an unknown activation',
    probe('Activation', { activation: 'glu' }),
    [],
    /layer "own" \(Activation\): activation "glu" is not supported; those that are/
  ],
  [
    'channels_first',
    probe('Conv2D', { ...conv, data_format: 'channels_first' }),
    fits,
    /layer "own" \(Conv2D\): "data_format" is "channels_first": only channels_last/
  ],
  [
    'channels_first in a pool',
    probe('MaxPooling2D', { data_format: 'channels_first' }),
    [],
    /layer "own" \(MaxPooling2D\): "data_format"/
  ],
  [
    'causal padding',
    probe('Conv2D', { ...conv, padding: 'causal' }),
    fits,
    /"padding" is "causal": only same and valid/
  ],
  [
    'a kernel size that is none',
    probe('Conv2D', { ...conv, kernel_size: [3, 0] }),
    fits,
    /"kernel_size" is \[3,0\]: one or two whole numbers/
  ],
  [
    'groups that do not divide the channels',
    probe('Conv2D', { ...conv, groups: 2 }),
    fits,
    /"groups" is 2: the 3 channels/
  ],
  [
    'a kernel larger than its input',
    probe('Conv2D', { ...conv, kernel_size: 5 }),
    kernel([5, 5, 3, 2]),
    /its kernel is larger than its input of 4 × 4/
  ],
  [
    'a kernel of the wrong shape',
    probe('Conv2D', conv),
    kernel([3, 3, 4, 2]),
    /layer "own" \(Conv2D\): "own\/kernel:0" is 3 × 3 × 4 × 2, but 3 × 3 × 3 × 2 is needed/
  ],
  [
    'a missing weight',
    probe('Conv2D', { ...conv, use_bias: true }),
    fits,
    /layer "own" \(Conv2D\): the file has 1 weights for it, 2 are needed \(kernel, bias\)/
  ],
  [
    'a missing group',
    sequence(input, layer('Conv2D', { ...conv, name: 'other' }), flatten, scores(5)),
    [],
    /layer "other" \(Conv2D\): the file has no group "model_weights\/other"/
  ],
  [
    'a missing weight of a nested model',
    sequence(
      input,
      { class_name: 'Sequential', config: { name: 'own', layers: [layer('Conv2D', { ...conv, name: 'deep' })] } },
      flatten,
      scores(5)
    ),
    fits,
    /layer "own\/deep" \(Conv2D\): the file has no "kernel" that is surely its own; it has "own\/kernel:0"/
  ],
  [
    'normalization over another axis',
    probe('BatchNormalization', { axis: 1, scale: false, center: false }),
    [...kernel([3]), ...kernel([3], 'own/second:0')],
    /"axis" is 1: only the last axis/
  ],
  [
    'normalization the other way round',
    probe('Normalization', { invert: true, mean: 0, variance: 1 }),
    [],
    /"invert" is true/
  ],
  [
    'a reshape that does not fit',
    probe('Reshape', { target_shape: [5, 10] }),
    [],
    /"target_shape" is \[5,10\]: the input has 48 values/
  ],
  [
    'an operator with a number on the wrong side',
    functional({
      layers: [
        node('a', 'InputLayer', []),
        { ...node('b', 'TrueDivide', []), inbound_nodes: [{ args: [1, tensor('a')], kwargs: {} }] }
      ],
      input_layers: [['a', 0, 0]],
      output_layers: [['b', 0, 0]]
    }),
    [],
    /layer "b" \(TrueDivide\): is supported with an input on its left and numbers on its right alone/
  ],
  [
    'an operator that is not arithmetic',
    functional({
      layers: [node('a', 'InputLayer', []), { ...node('b', 'TFOpLambda', ['a']), config: { function: 'math.cumsum' } }],
      input_layers: [['a', 0, 0]],
      output_layers: [['b', 0, 0]]
    }),
    [],
    /layer "b" \(TFOpLambda\): "math.cumsum" is not supported; those that are/
  ],
  ['a merge with one input', probe('Add'), [], /layer "own" \(Add\) has 1 inputs, 2 or more are needed/],
  [
    'a pool of a vector',
    sequence(input, { class_name: 'Flatten', config: { name: 'flat' } }, layer('MaxPooling2D'), scores(5)),
    [],
    /"flat" gives 48 where height × width × channels is needed/
  ],
  ['no input shape', sequence(flatten, scores(5)), [], /no input shape: build the model/],
  [
    'an input of any size',
    sequence(
      { class_name: 'InputLayer', config: { name: 'image', batch_shape: [null, null, null, 3] } },
      flatten,
      scores(5)
    ),
    [],
    /layer "image" \(InputLayer\): "shape" is \[null,null,null,3\]: it takes pictures of any size: .* --size 224x224/
  ],
  [
    'grey images',
    sequence({ class_name: 'InputLayer', config: { name: 'image', batch_shape: [null, 4, 4, 1] } }, flatten, scores(5)),
    [],
    /"shape" is \[null,4,4,1\]/
  ],
  [
    'a Lambda layer, with the way out',
    probe('Lambda', { function: 'x' }),
    [],
    /layer "own" \(Lambda\): it is Python code, which is not run here: .*tf2onnx/
  ],
  [
    'softmax over one unit',
    sequence(input, flatten, scores(1, { activation: 'softmax' })),
    [],
    /gives 1 score: softmax over a single one is always 1/
  ],
  [
    'a part of an image taken by a slice',
    functional({
      layers: [
        node('a', 'InputLayer', []),
        {
          ...node('b', 'SlicingOpLambda', []),
          config: { function: '__operators__.getitem' },
          inbound_nodes: [
            ['a', 0, 0, { slice_spec: [{ start: null }, { start: 1 }, { start: null }, { start: null }] }]
          ]
        }
      ],
      input_layers: [['a', 0, 0]],
      output_layers: [['b', 0, 0]]
    }),
    [],
    /layer "b" \(SlicingOpLambda\): of slices and stacks only those that reverse or reorder/
  ],
  [
    'a sigmoid of several units',
    sequence(input, flatten, scores(5, { activation: 'sigmoid' })),
    [],
    /ends in a sigmoid of 5 units/
  ],
  [
    'a relu at the end',
    sequence(input, flatten, scores(5, { activation: 'relu' })),
    [],
    /the model ends in relu; softmax, one sigmoid unit, or a layer without an activation/
  ],
  ['one class', sequence(input, flatten, scores(1)), [], /gives 1 score without an activation: .*--activation sigmoid/],
  [
    'no classifier',
    sequence(input, layer('ReLU')),
    [],
    /layer "own", the last, gives 4 × 4 × 3: one score for each class/
  ],
  [
    'two inputs',
    functional({
      layers: [node('a', 'InputLayer', []), node('b', 'InputLayer', []), node('sum', 'Add', ['a', 'b'])],
      input_layers: [
        ['a', 0, 0],
        ['b', 0, 0]
      ],
      output_layers: [['sum', 0, 0]]
    }),
    [],
    /model "model": 2 input_layers: only models with one input/
  ],
  [
    'two outputs',
    functional({
      layers: [node('a', 'InputLayer', []), node('b', 'ReLU', ['a'])],
      input_layers: [['a', 0, 0]],
      output_layers: [
        ['a', 0, 0],
        ['b', 0, 0]
      ]
    }),
    [],
    /it has 2 outputs \(a, b\): say with --output which/
  ],
  [
    'a model used twice in itself, thirty deep',
    Array.from({ length: 30 }).reduce<Json>(
      (inner, _, depth) =>
        functional({
          name: `m${depth}`,
          layers: [
            node('a', 'InputLayer', []),
            { ...inner, name: 'inner', inbound_nodes: [[['a', 0, 0, {}]], [['inner', 0, 0, {}]]] }
          ],
          input_layers: [['a', 0, 0]],
          output_layers: [['inner', 1, 0]]
        }),
      sequence(input, layer('ReLU'))
    ),
    [],
    /it has more than 20000 layers/
  ],
  [
    'a circle',
    functional({
      layers: [node('a', 'InputLayer', []), node('b', 'Add', ['a', 'c']), node('c', 'ReLU', ['b'])],
      input_layers: [['a', 0, 0]],
      output_layers: [['c', 0, 0]]
    }),
    [],
    /layer "c" is among its own inputs/
  ],
  [
    'a layer that is not there',
    functional({
      layers: [node('a', 'InputLayer', []), node('b', 'ReLU', ['x'])],
      input_layers: [['a', 0, 0]],
      output_layers: [['b', 0, 0]]
    }),
    [],
    /refers to a layer "x" that it does not have/
  ],
  [
    'a model class of its own',
    { class_name: 'MyModel', config: {} },
    [],
    /the model is a MyModel: only Sequential and Functional/
  ],
  ['a configuration that is none', [1, 2], [], /not one that Keras writes/]
]

for (const [name, model, own, message] of cases) {
  test(`refused: ${name}`, async t => {
    const units = /"units":(\d+)/.exec(JSON.stringify(model))?.[1] ?? 5
    const path = await writeH5(join(temporaryFolder(t), 'model.h5'), root => {
      root.create_attribute('model_config', JSON.stringify(model))
      fillLayers(
        root.create_group('model_weights'),
        new Map([...(own.length === 0 ? [] : [['own', own] as const]), ['scores', weights(Number(units))]])
      )
    })
    await assert.rejects(readKerasH5(path), {
      code: 'KERAS',
      message: new RegExp(`model\\.h5: .*${message.source}`, 's')
    })
  })
}
