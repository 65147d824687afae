import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { activationOf, ModelError, parseManifest, precisionOf, type Manifest } from '../src/index.ts'

const manifestOf = (name: string) =>
  readFileSync(join(import.meta.dirname, `../../../models/${name}/manifest.json`), 'utf8')
const [everyday, ofDefault] = [manifestOf('everyday'), manifestOf('efficientnet-lite0')]

/** What `parseManifest` says to everyday's manifest after `edit`. */
function complaint(edit: (manifest: Record<string, unknown> & Manifest) => void): string {
  const manifest = JSON.parse(everyday) as Record<string, unknown> & Manifest
  edit(manifest)
  try {
    parseManifest(JSON.stringify(manifest), 'm/manifest.json')
  } catch (error) {
    assert.ok(error instanceof ModelError)
    assert.equal(error.code, 'MODEL')
    assert.ok(error.message.startsWith('m/manifest.json: '), error.message)
    return error.message.slice('m/manifest.json: '.length)
  }
  return 'accepted'
}

test('the manifests of the models that come with the source are accepted and come back as they are written', () => {
  for (const text of [everyday, ofDefault]) assert.deepEqual(parseManifest(text, 'manifest.json'), JSON.parse(text))
})

test('what was assumed is kept, and each artifact has a precision and what its graph ends in', () => {
  const manifest = parseManifest(JSON.stringify({ ...JSON.parse(ofDefault), assumed: ['kernel'] }), 'manifest.json')
  assert.deepEqual(manifest.assumed, ['kernel'])
  assert.deepEqual(
    manifest.artifacts.map(artifact => [artifact.path, precisionOf(artifact), activationOf(manifest, artifact)]),
    [
      ['model.onnx', 'float16', 'softmax'],
      ['model-int8.onnx', 'int8', 'logits'],
      ['model.json', 'float16', 'softmax']
    ]
  )
  const plain = parseManifest(everyday.replaceAll('"precision": "float16",', ''), 'manifest.json')
  assert.deepEqual(plain.artifacts.map(precisionOf), ['float32', 'float32'])
})

const faults: Array<[what: string, edit: (manifest: Manifest) => void, message: RegExp]> = [
  [
    'a precision that no engine runs',
    manifest => {
      Object.assign(manifest.artifacts[0] ?? {}, { precision: 'int4' })
    },
    /^field "artifacts\.0\.precision" must be float32 or float16 or int8$/
  ],
  [
    'an agreement over 1',
    manifest => {
      Object.assign(manifest.artifacts[0] ?? {}, { agreement: [{ share: 98, pictures: 100, source: 'photos' }] })
    },
    /^field "artifacts\.0\.agreement\.0\.share" must be <= 1$/
  ],
  [
    'a missing licence',
    manifest => {
      Reflect.deleteProperty(manifest, 'license')
    },
    /license/
  ],
  [
    'a missing kernel',
    manifest => {
      Reflect.deleteProperty(manifest.input, 'kernel')
    },
    /^field "input" .*kernel/
  ],
  [
    'a version that is a number',
    manifest => {
      Object.assign(manifest, { version: 1 })
    },
    /^field "version" must be string$/
  ],
  [
    'an empty version',
    manifest => {
      manifest.version = ''
    },
    /^field "version" /
  ],
  [
    'a width of nothing',
    manifest => {
      manifest.input.width = 0
    },
    /^field "input.width" must be >= 1$/
  ],
  [
    'half a pixel',
    manifest => {
      manifest.input.height = 32.5
    },
    /^field "input.height" must be integer$/
  ],
  [
    'a fit that nobody knows',
    manifest => {
      Object.assign(manifest.input, { fit: 'contain' })
    },
    /^field "input.fit" must be fill or cover$/
  ],
  [
    'a kernel that nobody knows',
    manifest => {
      Object.assign(manifest.input, { kernel: 'bicubic' })
    },
    /^field "input.kernel" must be nearest or linear or cubic or lanczos3$/
  ],
  [
    'an order of channels that nobody knows',
    manifest => {
      Object.assign(manifest.input, { channels: 'GRB' })
    },
    /^field "input.channels" must be RGB or BGR$/
  ],
  [
    'a crop of nothing',
    manifest => {
      manifest.input.cropFraction = 0
    },
    /^field "input.cropFraction" must be > 0$/
  ],
  [
    'a crop of more than there is',
    manifest => {
      manifest.input.cropFraction = 1.1
    },
    /^field "input.cropFraction" must be <= 1$/
  ],
  [
    'two means for three channels',
    manifest => {
      manifest.input.mean = [0, 0]
    },
    /^field "input.mean" /
  ],
  [
    'four means for three channels',
    manifest => {
      manifest.input.mean = [0, 0, 0, 0]
    },
    /^field "input.mean" /
  ],
  [
    'a mean that is a word',
    manifest => {
      Object.assign(manifest.input.mean, { 1: 'half' })
    },
    /^field "input.mean.1" must be number$/
  ],
  [
    'a standard deviation of 0, by which pixels would be divided',
    manifest => {
      manifest.input.std = [1, 0, 1]
    },
    /^field "input.std.1" must be > 0$/
  ],
  [
    'a model of one class',
    manifest => {
      manifest.output.classes = 1
    },
    /^field "output.classes" must be >= 2$/
  ],
  [
    'an activation that nobody knows',
    manifest => {
      Object.assign(manifest.output, { activation: 'tanh' })
    },
    /^field "output.activation" must be softmax or logits or sigmoid$/
  ],
  [
    'a model without artifacts',
    manifest => {
      manifest.artifacts = []
    },
    /^field "artifacts" /
  ],
  [
    'a format that nobody knows',
    manifest => {
      Object.assign(manifest.artifacts[0] ?? {}, { format: 'pt' })
    },
    /^field "artifacts.0.format" must be onnx or tfjs-layers or tfjs-graph$/
  ],
  [
    'an artifact without files',
    manifest => {
      Object.assign(manifest.artifacts[1] ?? {}, { files: [] })
    },
    /^field "artifacts.1.files" /
  ],
  [
    'a short digest',
    manifest => {
      Object.assign(manifest.artifacts[1]?.files[1] ?? {}, { sha256: 'abc' })
    },
    /^field "artifacts.1.files.1.sha256" /
  ],
  [
    'a digest in capitals',
    manifest => {
      Object.assign(manifest.artifacts[1]?.files[1] ?? {}, { sha256: 'A'.repeat(64) })
    },
    /^field "artifacts.1.files.1.sha256" /
  ],
  [
    'an empty file',
    manifest => {
      Object.assign(manifest.artifacts[1]?.files[1] ?? {}, { bytes: 0 })
    },
    /^field "artifacts.1.files.1.bytes" /
  ],
  [
    'a field that is a slip of the pen',
    manifest => {
      Object.assign(manifest.input, { cropfraction: 1 })
    },
    /^field "input.cropfraction" is not one that a manifest has$/
  ],
  [
    'a name that is a path',
    manifest => {
      manifest.name = '../everyday'
    },
    /^field "name" /
  ],
  [
    'a name in capitals',
    manifest => {
      manifest.name = 'Everyday'
    },
    /^field "name" /
  ]
]
for (const [what, edit, message] of faults) {
  test(`${what} is an error that names the field`, () => assert.match(complaint(edit), message))
}

const escapes = ['../x', '/x', './x', '..', '.hidden', 'a/../../x', 'a/..', 'a/./x', 'a//x', 'a\\..\\x', '\\x', '']
for (const path of escapes) {
  test(`the path "${path}" is refused wherever a file is named`, () => {
    assert.match(
      complaint(manifest => {
        manifest.labels = path
      }),
      /^field "labels" /
    )
    assert.match(
      complaint(manifest => {
        Object.assign(manifest.artifacts[0] ?? {}, { path })
      }),
      /^field "artifacts.0.path" /
    )
    assert.match(
      complaint(manifest => {
        Object.assign(manifest.artifacts[1]?.files[1] ?? {}, { path })
      }),
      /^field "artifacts.1.files.1.path" /
    )
  })
}

test('files in folders of the model, with dots and blanks in their names, are allowed', () => {
  for (const path of ['labels.txt', 'tfjs/group1-shard1of1', 'a/b/c.v2..bin', 'with blank.txt']) {
    assert.equal(
      complaint(manifest => {
        manifest.labels = path
      }),
      'accepted',
      path
    )
  }
})

test('what is not JSON, or not an object, is an error that names the file', () => {
  for (const text of ['', '{', 'name: everyday'])
    assert.throws(() => parseManifest(text, 'm/manifest.json'), {
      code: 'MODEL',
      message: /^m\/manifest\.json: not JSON: /
    })
  for (const text of ['null', '[]', '3', '"everyday"'])
    assert.throws(() => parseManifest(text, 'm/manifest.json'), {
      code: 'MODEL',
      message: 'm/manifest.json: field "(top)" must be object'
    })
})
