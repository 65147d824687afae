import { repeated, side, uint16, type Bomb } from './bomb.ts'

const start = Buffer.from('ffd8', 'hex')
const end = Buffer.from('ffd9', 'hex')
const markers = { baseline: 0xc0, progressive: 0xc2, arithmetic: 0xc9 }

function segment(marker: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0xff, marker), uint16(content.length + 2), content])
}

/** All steps are 1. */
const quantization = segment(0xdb, Buffer.concat([Buffer.of(0), Buffer.alloc(64, 1)]))

/** A code of one bit, 0, for `symbol`. */
function huffman(table: number, symbol: number): Buffer {
  return segment(0xc4, Buffer.concat([Buffer.of(table, 1), Buffer.alloc(15), Buffer.of(symbol)]))
}

interface Jpeg {
  kind?: keyof typeof markers
  width?: number
  height?: number
  components?: number
  /** Blocks across and down that a component has in a unit; of the first one, the others have one. */
  sampling?: number
}

/** Everything before the scans. Of the tables each says one thing alone: no difference, end of the block. */
function before({ kind = 'baseline', width = side, height = side, components = 3, sampling = 1 }: Jpeg): Buffer {
  const list = Array.from({ length: components }, (_, i) => [i + 1, i === 0 ? sampling * 17 : 17, 0])
  const frame = Buffer.concat([Buffer.of(8), uint16(height, width), Buffer.from([components, ...list.flat()])])
  return Buffer.concat([start, quantization, segment(markers[kind], frame), huffman(0, 0), huffman(0x10, 0)])
}

interface Scan {
  /** Numbers of components from 1 on. */
  of: number[]
  from: number
  to: number
  /** Bits of the places that are refined. */
  approximation?: number
  bytes: number
}

function scan({ of, from, to, approximation = 0, bytes }: Scan): Buffer {
  const header = Buffer.from([of.length, ...of.flatMap(component => [component, 0]), from, to, approximation])
  return Buffer.concat([segment(0xda, header), Buffer.alloc(bytes)])
}

const blocks = (width: number, height: number) => Math.ceil(width / 8) * Math.ceil(height / 8)

/** Grey in 8 × 8 blocks of two bits each. */
function baseline(options: Jpeg, scans: number[][]): Buffer {
  const bits = 2 * blocks(options.width ?? side, options.height ?? side)
  const bytes = (of: number[]) => Math.ceil((bits * of.length) / 8) + 16
  return Buffer.concat([before(options), ...scans.map(of => scan({ of, from: 0, to: 63, bytes: bytes(of) })), end])
}

/** As many scans as that, each of which goes over all blocks; all of them say nothing. */
export function progressive(options: Jpeg & { scans: number }): Buffer {
  const { width = side, height = side, scans } = options
  const bytes = Math.ceil(blocks(width, height) / 8) + 16
  const first = scan({ of: [1, 2, 3], from: 0, to: 0, bytes: 3 * bytes })
  const more = scan({ of: [1], from: 1, to: 63, bytes })
  return Buffer.concat([before({ ...options, kind: 'progressive' }), first, repeated(more, scans - 1), end])
}

export function jpegBombs(): Bomb[] {
  const little = baseline({ width: 16, height: 16 }, [[1, 2, 3]])
  const put = (content: Buffer) => Buffer.concat([start, content, little.subarray(2)])
  return [
    { name: 'jpeg claims 65500²', image: baseline({ width: 65_500, height: 65_500 }, [[1]]).subarray(0, 5_000) },
    { name: 'jpeg of 49 MP', image: baseline({}, [[1, 2, 3]]) },
    { name: 'jpeg of 49 MP, a scan a colour', image: baseline({}, [[1], [2], [3]]) },
    { name: 'jpeg of 49 MP, CMYK', image: baseline({ components: 4 }, [[1, 2, 3, 4]]) },
    { name: 'jpeg of 49 MP, CMYK, a scan a colour', image: baseline({ components: 4 }, [[1], [2], [3], [4]]) },
    { name: 'jpeg of 49 MP, sampled 4 × 4', image: baseline({ sampling: 4 }, [[1], [2], [3]]) },
    { name: 'jpeg of 49 MP, arithmetic', image: baseline({ kind: 'arithmetic' }, [[1, 2, 3]]) },
    { name: 'jpeg of 65500 × 700', image: baseline({ width: 65_500, height: 700 }, [[1, 2, 3]]) },
    { name: 'jpeg of 49 MP, 10 scans', image: progressive({ scans: 10 }) },
    { name: 'jpeg of 49 MP, 99 scans', image: progressive({ scans: 99 }) },
    { name: 'jpeg of 5 MP, 99 scans', image: progressive({ width: 2_200, height: 2_200, scans: 99 }) },
    { name: 'jpeg of 5 MP, 900 scans', image: progressive({ width: 2_200, height: 2_200, scans: 900 }) },
    { name: 'jpeg of little, 50,000 scans', image: progressive({ width: 16, height: 16, scans: 50_000 }) },
    { name: 'jpeg with 9 MB of 0xff', image: put(Buffer.alloc(9_000_000, 0xff)) },
    { name: 'jpeg with 1,900 tables', image: put(repeated(huffman(0, 0), 1_900)) },
    { name: 'jpeg with 500,000 comments', image: put(repeated(segment(0xfe, Buffer.alloc(8)), 500_000)) },
    { name: 'jpeg with a profile of 9 MB', image: put(profile()) },
    { name: 'jpeg whose EXIF is its own next', image: put(segment(0xe1, circle())) },
    {
      name: 'jpeg whose scan never ends',
      image: Buffer.concat([baseline({ width: 16, height: 16 }, [[1, 2, 3]]).subarray(0, -2), Buffer.alloc(9_000_000)])
    },
    {
      name: 'jpeg of restarts',
      image: put(Buffer.concat([segment(0xdd, uint16(1)), repeated(Buffer.of(0xff, 0xd0), 4_000_000)]))
    }
  ]
}

function profile(): Buffer {
  const part = (i: number) =>
    Buffer.concat([Buffer.from('ICC_PROFILE\0', 'latin1'), Buffer.of(i + 1, 140), Buffer.alloc(65_000)])
  return Buffer.concat(Array.from({ length: 140 }, (_, i) => segment(0xe2, part(i))))
}

/** A directory of none but a pointer to a directory within, which is itself. */
function circle(): Buffer {
  const exif = Buffer.from('Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0', 'latin1')
  return exif
}
