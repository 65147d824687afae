import { readSync } from 'node:fs'

/** A field of a message: where it begins with its tag, where its content does, and where it ends. */
export interface Field {
  number: number
  start: number
  content: number
  end: number
}

/** The fields of the message between two offsets. Their contents are stepped over. */
export function* fields(read: Read, from: number, to: number): Generator<Field> {
  let at = from
  while (at < to) {
    const start = at
    const tag = readVarint(read, at, to)
    const [number, wireType] = [Math.floor(tag.value / 8), tag.value % 8]
    const { content, end } = extent(read, { wireType, at: tag.end, to })
    if (number === 0 || end > to) throw new Error(`a field at byte ${start} goes beyond its message`)
    yield { number, start, content, end }
    at = end
  }
}

function extent(
  read: Read,
  { wireType, at, to }: { wireType: number; at: number; to: number }
): { content: number; end: number } {
  switch (wireType) {
    case 0:
      return { content: at, end: readVarint(read, at, to).end }
    case 1:
      return { content: at, end: at + 8 }
    case 5:
      return { content: at, end: at + 4 }
    case 2: {
      const length = readVarint(read, at, to)
      return { content: length.end, end: length.end + length.value }
    }
    default:
      throw new Error(`an unknown kind of field at byte ${at}`)
  }
}

/** Values above 2^53 lose digits; lengths and tags never get there. */
function readVarint(read: Read, at: number, to: number): { value: number; end: number } {
  const bytes = read(at, Math.min(at + 10, to))
  let value = 0
  for (const [index, byte] of bytes.entries()) {
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, end: at + index + 1 }
  }
  throw new Error(`a number at byte ${at} does not end`)
}

/** The bytes between two offsets of a file. */
export type Read = (from: number, to: number) => Uint8Array<ArrayBuffer>

const windowBytes = 65_536

/** Reads through a window: a graph is thousands of small fields beside each other. */
export function createReader(file: number): Read {
  const window = new Uint8Array(windowBytes)
  let [start, length] = [0, 0]

  return (from, to) => {
    if (to - from > windowBytes) return readFully(file, new Uint8Array(to - from), from)
    if (from < start || to > start + length) {
      start = from
      length = readSync(file, window, 0, windowBytes, from)
    }
    if (to > start + length) throw new Error(`it ends before byte ${to}`)
    return window.slice(from - start, to - start)
  }
}

function readFully(file: number, bytes: Uint8Array<ArrayBuffer>, from: number): Uint8Array<ArrayBuffer> {
  let done = 0
  while (done < bytes.length) {
    const count = readSync(file, bytes, done, bytes.length - done, from + done)
    if (count === 0) throw new Error(`it ends before byte ${from + bytes.length}`)
    done += count
  }
  return bytes
}
