import assert from 'node:assert/strict'
import { test } from 'node:test'
import { labelsFile, parseLabels, type Label } from '../src/index.ts'

const cranes: Label[] = [{ label: 'crane', id: 'n02012849' }, { label: 'crane', id: 'n03126707' }, { label: 'Käse' }]
const parse = (text: string | Buffer, file = 'labels.json') => parseLabels(Buffer.from(text), file)

test('labels come back as they were written, in the form that holds them', () => {
  const plain = [{ label: 'cat' }, { label: 'say "dog", please' }]
  for (const [labels, path] of [
    [plain, 'labels.txt'],
    [cranes, 'labels.json']
  ] as const) {
    const file = labelsFile(labels)
    assert.equal(file.path, path)
    assert.deepEqual(parse(file.text, file.path), labels)
  }
})

test('the keys of an entry may stand in any order, and entries may be plain text', () => {
  assert.deepEqual(parse('[{ "id": "n02123045", "label": "tabby" }, "dog", { "label": "cat" }]'), [
    { id: 'n02123045', label: 'tabby' },
    { label: 'dog' },
    { label: 'cat' }
  ])
})

test('Windows’ line ends and a byte order mark are no part of a label', () => {
  assert.deepEqual(parse('\uFEFFcat\r\ndog\r\n', 'labels.txt'), [{ label: 'cat' }, { label: 'dog' }])
  assert.deepEqual(parse('\uFEFF["cat"]'), [{ label: 'cat' }])
})

test('what is not UTF-8 is refused, not shown with other letters', () => {
  for (const file of ['labels.txt', 'labels.json'])
    assert.throws(() => parse(Buffer.from('["K\xE4se"]', 'latin1'), file), {
      code: 'MODEL',
      message: `${file}: not UTF-8: save the labels in that encoding`
    })
})

for (const [what, text, message] of [
  ['no JSON', '[', /^labels\.json: not JSON: /],
  ['an object', '{ "0": "cat" }', /^labels\.json: must be an array with one entry for each class$/],
  ['a number', '["cat", 3]', /^labels\.json: label 1 is 3, it must be "text" or \{ "label": "text", "id": "text" \}$/],
  ['an id without a label', '[{ "id": "n0" }]', /^labels\.json: label 0 is \{"id":"n0"\}, it must be /],
  ['an id that is a number', '["a", { "label": "b", "id": 7 }]', /^labels\.json: label 1 is \{"label":"b","id":7\}, /],
  ['an unknown key', '[{ "label": "a", "wnid": "n0" }]', /^labels\.json: label 0 is \{"label":"a","wnid":"n0"\}, /]
] as const) {
  test(`labels.json with ${what} is an error that names file and entry`, () => {
    assert.throws(() => parse(text), { code: 'MODEL', message })
  })
}
