import { uint16, uint32 } from './bomb.ts'

interface Item {
  id: number
  type: string
  /** Where it lies in several places, each of them. */
  content: Buffer[]
  /** Numbers from 1 on. */
  properties: number[]
}

interface Reference {
  type: string
  from: number
  to: number[]
}

export interface HeifFile {
  brand: string
  items: Item[]
  properties: Buffer[]
  references?: Reference[]
  /** Boxes before the one that describes the picture. */
  before?: Buffer[]
}

export function box(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([uint32(body.length + 8), Buffer.from(type, 'latin1'), body])
}

export const version = (number: number, flags = 0) => uint32(number * 2 ** 24 + flags)

/** A picture file whose first item is the picture. */
export function heif({ brand, items, properties, references = [], before = [] }: HeifFile): Buffer {
  const head = Buffer.concat([box('ftyp', Buffer.from(`${brand}\0\0\0\0mif1${brand}miaf`, 'latin1')), ...before])
  const describe = (at: number) =>
    box(
      'meta',
      version(0),
      box('hdlr', version(0), uint32(0), Buffer.from('pict'), Buffer.alloc(13)),
      box('pitm', version(0), uint16(items[0]?.id ?? 0)),
      places(items, at),
      box('iinf', version(0), uint16(items.length), ...items.map(nameOf)),
      box('iprp', box('ipco', ...properties), belonging(items)),
      ...(references.length > 0 ? [box('iref', version(0), ...references.map(pointer))] : [])
    )
  const dataAt = head.length + describe(0).length + 8
  return Buffer.concat([head, describe(dataAt), box('mdat', ...items.flatMap(({ content }) => content))])
}

function places(items: Item[], start: number): Buffer {
  let at = start
  const rows = items.map(({ id, content }) => {
    const extents = content.flatMap(bytes => {
      at += bytes.length
      return [uint32(at - bytes.length, bytes.length)]
    })
    return Buffer.concat([uint16(id, 0, content.length), ...extents])
  })
  return box('iloc', version(0), uint16(0x4400, items.length), ...rows)
}

function nameOf({ id, type }: Item): Buffer {
  return box('infe', version(2), uint16(id, 0), Buffer.from(`${type}\0`, 'latin1'))
}

function belonging(items: Item[]): Buffer {
  const rows = items.map(({ id, properties }) =>
    Buffer.concat([uint16(id), Buffer.from([properties.length, ...properties])])
  )
  return box('ipma', version(0), uint32(items.length), ...rows)
}

function pointer({ type, from, to }: Reference): Buffer {
  return box(type, uint16(from, to.length, ...to))
}

export const extents = (width: number, height: number) => box('ispe', version(0), uint32(width, height))

/** Rows and columns of tiles and the size of the whole. */
export function gridOf(rows: number, columns: number, width: number, height: number): Buffer {
  return Buffer.concat([Buffer.from([0, 1, rows - 1, columns - 1]), uint32(width, height)])
}

export function overlayOf(count: number, width: number, height: number): Buffer {
  return Buffer.concat([Buffer.from([0, 1]), uint16(0, 0, 0, 0), uint32(width, height), Buffer.alloc(8 * count)])
}
