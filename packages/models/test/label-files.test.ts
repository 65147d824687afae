import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readLabelList } from '../src/import/labels.ts'
import type { Label } from '../src/store/labels.ts'
import { fails } from './imports.ts'
import { temporaryFolder } from './models.ts'

function labelFile(t: TestContext, name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(t), name)
  writeFileSync(path, content)
  return path
}

const plain = (...labels: string[]): Label[] => labels.map(label => ({ label }))
const utf16le = (text: string) => Buffer.from('\uFEFF' + text, 'utf16le')
const cranes = [
  { label: 'crane', id: 'n02012849' },
  { label: 'crane', id: 'n03126707' }
]

const understood: Array<[what: string, name: string, content: string | Uint8Array, labels: Label[]]> = [
  [
    'one label a line, also with commas in it',
    'l.txt',
    'tench, Tinca tinca\ngoldfish\n',
    plain('tench, Tinca tinca', 'goldfish')
  ],
  ['Windows ends and a byte order mark', 'l.txt', '\uFEFFKäse\r\nFuß\r\n', plain('Käse', 'Fuß')],
  ['the line ends of an old Mac', 'l.txt', 'cat\rdog\r', plain('cat', 'dog')],
  ['UTF-16 with a byte order mark, as Excel writes it', 'l.txt', utf16le('Käse\r\nFuß\r\n'), plain('Käse', 'Fuß')],
  ['UTF-16 of the other byte order', 'l.txt', utf16le('Käse\nFuß\n').swap16(), plain('Käse', 'Fuß')],
  [
    'lines numbered from 0, as Teachable Machine exports them',
    'l.txt',
    '0 Cat\n1 Dog\n2 Background noise',
    plain('Cat', 'Dog', 'Background noise')
  ],
  ['lines numbered from 1, with colons', 'l.txt', '1: cat\n2: dog\n', plain('cat', 'dog')],
  ['labels that begin with numbers of their own', 'l.txt', '7up\n3 wheels\n', plain('7up', '3 wheels')],
  [
    'labels that all begin with numbers, not counting the lines',
    'l.txt',
    '1 euro\n2 euro\n5 euro\n',
    plain('1 euro', '2 euro', '5 euro')
  ],
  ['labels that differ in their number alone', 'l.txt', '1 euro\n2 euro\n', plain('1 euro', '2 euro')],
  ['numbers with dots, brackets or equals signs', 'l.txt', '0. cat\n1. dog\n', plain('cat', 'dog')],
  ['numbers in brackets', 'l.txt', '(0) cat\n(1) dog\n', plain('cat', 'dog')],
  ['numbers behind, as class indices are printed', 'l.txt', 'cat: 0\ndog: 1\n', plain('cat', 'dog')],
  ['names that end in numbers', 'l.txt', 'Terminal 1\nGate 2\n', plain('Terminal 1', 'Gate 2')],
  ['numbers with decimals', 'l.txt', '0.5 mm\n1.5 cm\n', plain('0.5 mm', '1.5 cm')],
  ['quotes around every line', 'l.txt', '"cat",\n"dog"\n', plain('cat', 'dog')],
  ['a Python list', 'l.txt', "['cat', \"lion's mane\"]", plain('cat', "lion's mane")],
  ['a Python dict by label', 'l.txt', "{'dog': 1, 'cat': 0}", plain('cat', 'dog')],
  ['digits', 'l.txt', '0\n1\n2\n', plain('0', '1', '2')],
  ['one line among many with a number', 'l.txt', '0 Cat\nDog\n', plain('0 Cat', 'Dog')],
  [
    'synset lines',
    'synset.txt',
    'n02123045 tabby, tabby cat\nn02084071 dog\n',
    [
      { label: 'tabby, tabby cat', id: 'n02123045' },
      { label: 'dog', id: 'n02084071' }
    ]
  ],
  ['WordNet ids alone', 'l.txt', 'n02123045\nn02084071\n', plain('n02123045', 'n02084071')],
  ['an array of pairs', 'l.json', '[["n02012849", "crane"], ["n03126707", "crane"]]', cranes],
  [
    'Keras’ class index, equal labels apart',
    'l.json',
    '{"1": ["n03126707", "crane"], "0": ["n02012849", "crane"]}',
    cranes
  ],
  ['a model directory’s labels.json', 'l.json', JSON.stringify(cranes), cranes],
  [
    'objects that say their index',
    'l.json',
    '[{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]',
    plain('cat', 'dog')
  ],
  ['Keras’ class_indices', 'class_indices.json', '{"dog": 1, "cat": 0, "ship": 2}', plain('cat', 'dog', 'ship')],
  ['class_indices of digits', 'l.json', '{"0": 0, "1": 1}', plain('0', '1')],
  ['class_indices with indices as text', 'l.json', '{"dog": "1", "cat": "0"}', plain('cat', 'dog')],
  [
    'Teachable Machine’s metadata.json',
    'metadata.json',
    '{"tmVersion": "2.4.7", "labels": ["Cat", "Dog"], "imageSize": 96}',
    plain('Cat', 'Dog')
  ],
  [
    'Hugging Face’s config.json',
    'config.json',
    '{"architectures": ["x"], "id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}',
    plain('cat', 'dog')
  ],
  ['a label2id alone', 'config.json', '{"label2id": {"dog": 1, "cat": 0}}', plain('cat', 'dog')],
  [
    'a Python dict',
    'l.txt',
    "{0: 'tench, Tinca tinca',\n 1: \"jack-o'-lantern\",\n 2: 'it\\'s'}\n",
    plain('tench, Tinca tinca', "jack-o'-lantern", "it's")
  ],
  ['CSV with a heading', 'l.csv', 'index,label\n1,dog\n0,"cat, tabby"\n', plain('cat, tabby', 'dog')],
  [
    'CSV in another order of columns, with ids',
    'l.csv',
    'label,id\ntabby,n02123045\ndog,n02084071\n',
    [
      { label: 'tabby', id: 'n02123045' },
      { label: 'dog', id: 'n02084071' }
    ]
  ],
  ['CSV whose id is the index', 'l.csv', 'class_name;id\nKäse;1\nBrot;0\n', plain('Brot', 'Käse')],
  ['CSV of pandas, with an index without heading', 'l.csv', ',class_name\n0,cat\n1,dog\n', plain('cat', 'dog')],
  [
    'CSV with quotes in quotes, Windows ends and a mark',
    'l.csv',
    '\uFEFF"Index","Label"\r\n0,"12"" record"\r\n1,b\r\n',
    plain('12" record', 'b')
  ],
  ['CSV of one column', 'l.csv', 'label\ncat\ndog\n', plain('cat', 'dog')],
  ['CSV without a heading', 'l.csv', '0,cat\n1,"dog, big"\n', plain('cat', 'dog, big')],
  ['tab-separated values', 'l.tsv', 'wnid\tname\nn02123045\ttabby\n', [{ label: 'tabby', id: 'n02123045' }]]
]
for (const [what, name, content, labels] of understood) {
  test(`E5: labels are understood in ${what}`, async t => {
    assert.deepEqual(await readLabelList(labelFile(t, name, content)), labels)
  })
}

const refused: Array<[what: string, name: string, content: string | Uint8Array, message: RegExp]> = [
  [
    'Windows-1252',
    'cp1252.txt',
    Buffer.from('cat\r\nK\u00E4se\r\n', 'latin1'),
    /cp1252\.txt: line 2 is not UTF-8: save the file as UTF-8 \(if it should read "Käse", iconv -f WINDOWS-1252/
  ],
  [
    'UTF-16 without a mark',
    'l.txt',
    Buffer.from('cat\ndog', 'utf16le'),
    /l\.txt: holds NUL bytes, so it is no text in UTF-8/
  ],
  ['half a UTF-16 character', 'l.txt', Buffer.from([0xff, 0xfe, 0x63, 0x00, 0x64]), /begins like UTF-16LE but is not/],
  ['nothing', 'l.txt', '\n', /l\.txt: holds no labels, it is empty/],
  ['a key twice', 'l.json', '{"0": "cat", "0": "dog"}', /l\.json: key "0" is there twice/],
  [
    'a key twice, spelled otherwise',
    'l.json',
    '{"0": "cat", "00": "dog"}',
    /index 0 is given twice, for "cat" and "dog"/
  ],
  ['an index twice', 'class_indices.json', '{"cat": 0, "dog": 0}', /index 0 is given twice, for "cat" and "dog"/],
  [
    'an index missing',
    'class_indices.json',
    '{"cat": 0, "dog": 2}',
    /has no label 1: 2 labels must have the indices 0 to 1/
  ],
  [
    'indices from 1 in an object, whose order is unsure',
    'l.json',
    '{"1": "cat", "2": "dog"}',
    /has no label 0: 2 labels/
  ],
  ['an index twice in CSV', 'l.csv', 'index,label\n0,cat\n0,dog\n', /index 0 is given twice/],
  [
    'CSV without a column for labels',
    'l.csv',
    'Klasse,Anzahl\nKatze,7\n',
    /no column is headed as the label \(its first row is "Klasse", "Anzahl"\): head it "label"/
  ],
  ['CSV that ends in a quote', 'l.csv', 'index,label\n0,"cat\n', /l\.csv: can't be read as CSV: /],
  [
    'numbers out of order',
    'l.txt',
    '0 Cat\n2 Dog\n1 Bird\n',
    /every line has a number, but they do not count the lines from 0 or 1/
  ],
  ['numbers with a gap', 'l.txt', '0 Cat\n1 Dog\n3 Bird\n', /every line has a number/],
  ['a key twice, once escaped', 'l.json', '{"0": "cat", "\\u0030": "dog"}', /key "\\u0030" is there twice/],
  ['YAML', 'data.yaml', 'names: [cat, dog]\n', /data\.yaml: YAML and protobuf text are not read/],
  ['what turns the direction of text', 'l.txt', 'c\u202Eat\ndog\n', /label 0 is .*: a label is one line/],
  ['an object of neither kind', 'l.json', '{"cat": "a", "dog": "b"}', /key "cat" is no index/],
  ['a line break in a label', 'l.json', '["a\\nb", "c"]', /label 0 is "a\\nb": a label is one line and not empty/]
]
for (const [what, name, content, message] of refused) {
  test(`E5: labels are refused with ${what}`, async t => {
    await assert.rejects(readLabelList(labelFile(t, name, content)), fails(message))
  })
}

test('E5: a pipe or a folder for labels is refused at once', { timeout: 10_000 }, async t => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'pipe')])
  await assert.rejects(readLabelList(join(folder, 'pipe')), fails(/pipe: is a named pipe, not a file/))
  await assert.rejects(readLabelList(folder), fails(/: is a folder, not a file/))
})
