import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { findEntry, localName, readCatalog, type CatalogEntry } from '../src/pull/catalog.ts'
import { presets } from '../src/import/preprocessing.ts'
import { assets, entryOf, root, sha256, temporaryFolder, without } from './models.ts'

const catalogPath = join(root, 'models/catalog.json')
const mobilenet = join(assets, 'models/mobilenet_v1_0.25_224-tfjs')

/** What reading says to a catalog of one entry that `edit` has changed. */
async function complaint(t: TestContext, edit: (entry: CatalogEntry) => void): Promise<string> {
  const path = join(temporaryFolder(t), 'catalog.json')
  const entry = entryOf('http://localhost', { '/model.onnx': Buffer.from('m'), '/labels.txt': Buffer.from('l') })
  edit(entry)
  writeFileSync(path, JSON.stringify({ models: [entry] }))
  return await readCatalog(path).then(
    () => 'accepted',
    (error: Error & { code: string }) =>
      error.code === 'MODEL' ? error.message.replace(`${path}: `, '') : String(error)
  )
}

test('the project’s catalog has the recipe’s model, a small one and one for ONNX, each with a license and a digest', async () => {
  const catalog = await readCatalog(catalogPath)
  assert.deepEqual(
    catalog.map(({ name }) => name),
    ['resnet50', 'resnet50-onnx', 'mobilenet_v1_0.25_224']
  )
  assert.deepEqual(
    catalog.map(({ import: { format } }) => format),
    ['keras-h5', 'onnx', 'tfjs-layers']
  )
  for (const {
    files,
    import: { labels }
  } of catalog) {
    assert.equal(labels, 'imagenet_class_index.json')
    for (const { url } of files) assert.match(url, /^https:/)
  }
})

test('the recipe’s model is prepared as the recipe does: stretched, blue first, means off', async () => {
  const {
    import: { preprocessing, architecture, input }
  } = findEntry(await readCatalog(catalogPath), 'resnet50')
  assert.equal(architecture, 'resnet50')
  assert.equal(input, undefined)
  const { fit, channels, mean, scale } = presets[preprocessing]
  assert.deepEqual(
    { fit, channels, mean, scale },
    { fit: 'fill', channels: 'BGR', mean: [103.939, 116.779, 123.68], scale: 1 }
  )
})

test('MobileNet’s files are those that are known to be whole', { skip: without('models') }, async () => {
  const { files } = findEntry(await readCatalog(catalogPath), 'mobilenet_v1_0.25_224')
  const model = files.filter(file => localName(file) !== 'imagenet_class_index.json')
  assert.equal(model.length, 56)
  for (const file of model) {
    const path = join(mobilenet, localName(file))
    assert.deepEqual([file.bytes, file.sha256], [statSync(path).size, sha256(readFileSync(path))], path)
  }
})

test('a name that the catalog lacks is an error with the names it has and the likely one', async () => {
  const catalog = await readCatalog(catalogPath)
  assert.equal(findEntry(catalog, 'resnet50').name, 'resnet50')
  assert.throws(() => findEntry(catalog, 'ResNet-50'), {
    code: 'MODEL',
    message:
      'the catalog has no model "ResNet-50": did you mean "resnet50"? It has resnet50, resnet50-onnx, mobilenet_v1_0.25_224'
  })
  assert.throws(() => findEntry(catalog, 'mobilenet'), /did you mean "mobilenet_v1_0\.25_224"\?/)
  assert.throws(() => findEntry(catalog, 'everything'), {
    message: 'the catalog has no model "everything". It has resnet50, resnet50-onnx, mobilenet_v1_0.25_224'
  })
})

const faults: Array<[string, (entry: CatalogEntry) => void, RegExp]> = [
  [
    'an address without http',
    entry => {
      Object.assign(entry.files[0] ?? {}, { url: 'ftp://x/model.onnx' })
    },
    /^field "models\.0\.files\.0\.url" /
  ],
  [
    'a size of nothing',
    entry => {
      Object.assign(entry.files[1] ?? {}, { bytes: 0 })
    },
    /^field "models\.0\.files\.1\.bytes" /
  ],
  [
    'a digest that is none',
    entry => {
      Object.assign(entry.files[0] ?? {}, { sha256: 'abc' })
    },
    /^field "models\.0\.files\.0\.sha256" /
  ],
  [
    'no digest',
    entry => {
      delete entry.files[0]?.sha256
    },
    /^field "models\.0\.files\.0" has neither "sha256" nor "md5"/
  ],
  [
    'two files of one name',
    entry => {
      Object.assign(entry.files[1] ?? {}, { as: 'model.onnx' })
    },
    /^field "models\.0\.files\.1" is kept as "model\.onnx", like another one/
  ],
  [
    'a file that leads elsewhere',
    entry => {
      Object.assign(entry.files[1] ?? {}, { as: '../labels.txt' })
    },
    /^field "models\.0\.files\.1\.as" /
  ],
  [
    'a model that is none of its files',
    entry => {
      entry.import.path = 'other.onnx'
    },
    /^field "models\.0\.import\.path" is "other\.onnx", which is none of its files: model\.onnx, labels\.txt$/
  ],
  [
    'labels that are none of its files',
    entry => {
      entry.import.labels = 'names.txt'
    },
    /^field "models\.0\.import\.labels" is "names\.txt"/
  ],
  [
    'a preset that nobody knows',
    entry => {
      Object.assign(entry.import, { preprocessing: 'caffe' })
    },
    /^field "models\.0\.import\.preprocessing" /
  ],
  [
    'a slip of the pen',
    entry => {
      Object.assign(entry.import, { activations: 'softmax' })
    },
    /^field "models\.0\.import\.activations" is not one that a catalog has$/
  ],
  [
    'a name that is a path',
    entry => {
      entry.name = '../x'
    },
    /^field "models\.0\.name" /
  ]
]
for (const [what, edit, message] of faults) {
  test(`in a catalog, ${what} is an error that names the field`, async t => {
    assert.match(await complaint(t, edit), message)
  })
}

test('a good entry is accepted, and a catalog that is missing or no JSON is an error that names it', async t => {
  assert.equal(await complaint(t, () => {}), 'accepted')
  await assert.rejects(readCatalog('/nowhere/catalog.json'), {
    code: 'MODEL',
    message: /^\/nowhere\/catalog\.json: can't read the catalog: /
  })
  const path = join(temporaryFolder(t), 'catalog.json')
  writeFileSync(path, '{')
  await assert.rejects(readCatalog(path), { code: 'MODEL', message: /catalog\.json: can't read the catalog: / })
})
