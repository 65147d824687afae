import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openZip } from '../src/import/zip.ts'
import { fails } from './imports.ts'
import { filesIn, temporaryFolder } from './models.ts'
import { zipOf, type ZipEntry } from './zips.ts'

const text = (content: string) => Buffer.from(content)

async function open(t: TestContext, entries: ZipEntry[]) {
  const path = join(temporaryFolder(t), 'model.zip')
  writeFileSync(path, zipOf(entries))
  const zip = await openZip(path)
  t.after(() => zip.close())
  return zip
}

test('the files of a zip are listed, read and extracted; what macOS and git add is left out', async t => {
  const zip = await open(t, [
    { name: 'model.json', content: text('{}') },
    { name: 'weights/part.bin', content: text('weights') },
    { name: '__MACOSX/._model.json', content: text('x') },
    { name: 'weights/._part.bin', content: text('x') },
    { name: '.git/config', content: text('x') }
  ])
  assert.deepEqual(
    [...zip.files],
    [
      ['model.json', 2],
      ['weights/part.bin', 7]
    ]
  )
  assert.equal(String(await zip.read('weights/part.bin')), 'weights')
  await assert.rejects(zip.read('labels.txt'), fails(/model\.zip: labels\.txt: not in the zip/))
  const folder = temporaryFolder(t)
  await zip.extract(folder)
  assert.deepEqual(filesIn(folder), ['model.json', 'weights/part.bin'])
  assert.equal(readFileSync(join(folder, 'weights/part.bin'), 'utf8'), 'weights')
})

const refused: Array<[string, ZipEntry[], RegExp]> = [
  ['climbs out of its folder', [{ name: '../secret', content: text('x') }], /invalid relative path|only files beside/],
  ['names an absolute path', [{ name: '/etc/secret', content: text('x') }], /absolute path|only files beside/],
  [
    'holds a link',
    [{ name: 'link', content: text('/etc/passwd'), mode: 0o120777 }],
    /its entry "link" is no plain file/
  ],
  [
    'holds a name twice',
    [
      { name: 'a', content: text('x') },
      { name: 'a', content: text('y') }
    ],
    /holds "a" twice/
  ],
  [
    'is a bomb',
    [{ name: 'bomb', content: Buffer.alloc(40 * 1024 * 1024) }],
    /bytes would become 41943040, more than 100 times as many/
  ],
  [
    'uses the same bytes again and again',
    [
      { name: 'a', content: Buffer.from(Array.from({ length: 4_000 }, (_, index) => (index * index) % 251)) },
      ...Array.from({ length: 9 }, (_, index) => ({
        name: `b${index}`,
        content: Buffer.from(Array.from({ length: 4_000 }, (_, index) => (index * index) % 251)),
        sharedWith: 0
      }))
    ],
    /its entries overlap/
  ]
]
for (const [what, entries, message] of refused) {
  test(`a zip that ${what} is refused`, async t => {
    await assert.rejects(open(t, entries), fails(message))
  })
}

test('an entry that is larger than it says ends at that size', async t => {
  const zip = await open(t, [{ name: 'liar', content: Buffer.alloc(1_000_000), claims: 10 }])
  await assert.rejects(zip.read('liar'), fails(/too many bytes/))
})

test('what is no zip, or has too many entries, is an error that names it', async t => {
  const path = join(temporaryFolder(t), 'text.zip')
  writeFileSync(path, 'this is text')
  await assert.rejects(openZip(path), fails(/text\.zip: not a zip, or damaged/))
  const many = Array.from({ length: 1_001 }, (_, index) => ({ name: `f${index}`, content: text('') }))
  await assert.rejects(open(t, many), fails(/has 1001 entries, more than 1000/))
})
