import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ModelError, type Artifact, type Manifest } from '@streamsight/models'
import { bothClasses, checkGraph, type Declared, type Graph } from '../src/engines/graph.ts'
import { inputOf } from './support/pictures.ts'

const files = [{ path: 'model.onnx', bytes: 1, sha256: '0'.repeat(64) }]

function manifestOf(artifact: Artifact): Manifest {
  return {
    name: 'm',
    version: '1',
    license: '',
    source: '',
    input: { ...inputOf({ width: 32 }), height: 24 },
    output: { activation: 'softmax', classes: 10 },
    labels: 'labels.txt',
    artifacts: [artifact]
  }
}

function check(graph: Partial<Graph>, layout: Artifact['layout'] = 'NCHW') {
  const artifact: Artifact = { format: 'onnx', path: 'model.onnx', layout, files }
  const manifest = manifestOf(artifact)
  return checkGraph(
    { inputs: [images()], outputs: [scores()], ...graph },
    { artifact, manifest, inputTypes: ['float32', 'uint8'], outputTypes: ['float32'] }
  )
}

const images = (dims: Declared['dims'] = [undefined, 3, 24, 32], type = 'float32'): Declared => ({
  name: 'pixels',
  type,
  dims
})
const scores = (dims: Declared['dims'] = [undefined, 10], type = 'float32'): Declared => ({
  name: 'scores',
  type,
  dims
})

/** The message of the ModelError. */
function refusal(graph: Partial<Graph>, layout: Artifact['layout'] = 'NCHW'): string {
  try {
    check(graph, layout)
  } catch (error) {
    assert.ok(error instanceof ModelError)
    return error.message
  }
  throw new assert.AssertionError({ message: 'it was not refused' })
}

test('a graph of the manifest’s sizes is taken, in either layout and with what it leaves open', () => {
  assert.equal(check({}).fixedBatch, undefined)
  assert.equal(check({ inputs: [images([undefined, 24, 32, 3])] }, 'NHWC').input.name, 'pixels')
  check({
    inputs: [images([undefined, undefined, undefined, undefined], 'uint8')],
    outputs: [scores([undefined, undefined])]
  })
  check({
    inputs: [{ name: 'pixels', type: 'float32', dims: undefined }],
    outputs: [{ name: 'scores', type: 'float32', dims: undefined }]
  })
})

test('a fixed batch size is told', () => {
  assert.equal(check({ inputs: [images([1, 3, 24, 32])], outputs: [scores([1, 10])] }).fixedBatch, 1)
  assert.equal(check({ inputs: [images([16, 3, 24, 32])], outputs: [scores([16, 10])] }).fixedBatch, 16)
})

test('scores with ones behind, or without a batch dimension, are scores', () => {
  check({ outputs: [scores([undefined, 10, 1, 1])] })
  check({ inputs: [images([1, 3, 24, 32])], outputs: [scores([10])] })
})

test('a wrong number of classes is refused with the file and both numbers', () => {
  assert.equal(
    refusal({ outputs: [scores([undefined, 1_000])] }),
    'model.onnx: output "scores" is [N, 1000], 1000 scores an image; the manifest says 10 classes (field "output.classes")'
  )
  assert.match(refusal({ outputs: [scores([undefined, 10, 7, 7])] }), /490 scores an image; the manifest says 10/)
  assert.match(refusal({ inputs: [images([2, 3, 24, 32])], outputs: [scores([10])] }), / 5 scores an image/)
})

test('a wrong input size is refused with both', () => {
  assert.equal(
    refusal({ inputs: [images([undefined, 3, 224, 224])] }),
    'model.onnx: input "pixels" is [N, 3, 224, 224]; the manifest says 32 × 24 pixels in NCHW, [N, 3, 24, 32]'
  )
  assert.match(refusal({ inputs: [images([undefined, 1, 24, 32])] }), /is \[N, 1, 24, 32\]/)
  assert.match(refusal({ inputs: [images([undefined, 2_304])] }), /is \[N, 2304\]/)
  assert.match(refusal({ inputs: [images([undefined, 3, 32, 24])] }), /is \[N, 3, 32, 24\]/, 'width and height changed')
})

test('a wrong layout is refused with the field to change', () => {
  assert.match(
    refusal({}, 'NHWC'),
    /is \[N, 3, 24, 32\]; the manifest says 32 × 24 pixels in NHWC, \[N, 24, 32, 3\]: its field "layout" must be NCHW$/
  )
})

test('several inputs or outputs, none, and types that nobody can feed are refused', () => {
  assert.match(
    refusal({ inputs: [images(), { ...images(), name: 'phase' }] }),
    /^model\.onnx: inputs are 2 \(pixels, phase\)/
  )
  assert.match(refusal({ outputs: [] }), /^model\.onnx: outputs are 0/)
  assert.match(refusal({ outputs: [scores(), scores()] }), /^model\.onnx: outputs are 2/)
  assert.match(
    refusal({ inputs: [images(undefined, 'string')] }),
    /input "pixels" is string, which is not supported: export the model with float32 or uint8/
  )
  assert.match(refusal({ outputs: [scores(undefined, 'int64')] }), /output "scores" is int64/)
})

test('one unit is two classes by what its own artifact ends in, not by what the model’s others do', () => {
  const exact: Artifact = { format: 'onnx', path: 'model.onnx', layout: 'NCHW', files }
  const cut: Artifact = { ...exact, activation: 'logits' }
  const manifest: Manifest = { ...manifestOf(exact), output: { activation: 'sigmoid', classes: 2 } }
  const units = Float32Array.of(0.25, 0.75)
  assert.deepEqual([...bothClasses(units, 2, { manifest, artifact: exact })], [0.75, 0.25, 0.25, 0.75])
  assert.deepEqual([...bothClasses(units, 2, { manifest, artifact: cut })], [0, 0.25, 0, 0.75])
})
