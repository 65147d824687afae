export interface Kind {
  /** Pixels; 32 × 32 where it is not said. */
  width?: number
  height?: number
  bits?: number
  samples?: number
  photometric?: number
  planar?: boolean
  /** Side of a tile; strips where it is not said. */
  tile?: number
  /** Of a strip; all of the picture where it is not said. */
  rows?: number
  compression?: number
  orientation?: number
  extra?: number
  sampleFormat?: number
  subsampling?: number
  little?: boolean
}

const short = 3
const long = 4
const bytesOf = { [short]: 2, [long]: 4 } as const

/**
 * A TIFF from its pieces, which are its strips or tiles in order. One piece stands for all of a larger picture where `repeat` says
 * how often it is pointed at.
 */
export function tiff(kind: Kind, pieces: Buffer[], repeat = 1): Buffer {
  const little = kind.little ?? true
  const number = (value: number, size: 2 | 4) => {
    const bytes = Buffer.alloc(size)
    if (little) bytes.writeUIntLE(value, 0, size)
    else bytes.writeUIntBE(value, 0, size)
    return bytes
  }
  const body = Buffer.concat(pieces)
  const places = pieces.map((_, i) => 8 + pieces.slice(0, i).reduce((sum, { length }) => sum + length, 0))
  const again = (values: number[]) => Array.from({ length: repeat }, () => values).flat()
  const tags = tagsOf(kind, again(places), again(pieces.map(({ length }) => length)))
  let elsewhere = 8 + body.length + 2 + 12 * tags.length + 4
  const values: Buffer[] = []
  const entries = tags.map(([tag, type, numbers]) => {
    const bytes = Buffer.concat(numbers.map(value => number(value, bytesOf[type])))
    const head = [number(tag, 2), number(type, 2), number(numbers.length, 4)]
    if (bytes.length <= 4) return Buffer.concat([...head, bytes, Buffer.alloc(4 - bytes.length)])
    values.push(bytes)
    elsewhere += bytes.length
    return Buffer.concat([...head, number(elsewhere - bytes.length, 4)])
  })
  const start = Buffer.concat([Buffer.from(little ? 'II' : 'MM'), number(42, 2), number(8 + body.length, 4)])
  return Buffer.concat([start, body, number(tags.length, 2), ...entries, number(0, 4), ...values])
}

type Tag = [tag: number, type: typeof short | typeof long, values: number[]]

function tagsOf(kind: Kind, places: number[], lengths: number[]): Tag[] {
  const { width = 32, height = 32, bits = 8, samples = 3, photometric = 2, compression = 1, orientation = 1 } = kind
  const { planar = false, tile, rows = height, extra, sampleFormat, subsampling } = kind
  const optional = (tag: number, value: number | undefined, count = 1): Tag[] =>
    value === undefined ? [] : [[tag, short, Array.from({ length: count }, () => value)]]
  const tags: Tag[] = [
    [256, long, [width]],
    [257, long, [height]],
    [258, short, Array.from({ length: samples }, () => bits)],
    [259, short, [compression]],
    [262, short, [photometric]],
    [274, short, [orientation]],
    [277, short, [samples]],
    [284, short, [planar ? 2 : 1]],
    ...(tile === undefined ? inStrips() : inTiles(tile)),
    ...optional(338, extra),
    ...optional(339, sampleFormat),
    ...optional(530, subsampling, 2)
  ]
  return tags.toSorted(([a], [b]) => a - b)

  function inStrips(): Tag[] {
    return [
      [273, long, places],
      [278, long, [rows]],
      [279, long, lengths]
    ]
  }

  function inTiles(side: number): Tag[] {
    return [
      [322, short, [side]],
      [323, short, [side]],
      [324, long, places],
      [325, long, lengths]
    ]
  }
}
