import { ModelError } from '../store/error.ts'
import { openSource } from './source-files.ts'

/** ImageNet's 21,843 classes with all their names are 1 MB; the largest known model.json, of 10,000 nodes, has 8 MB. */
const maxBytes = 64 * 1024 * 1024

/**
 * The text of a file: UTF-8, or UTF-16 with a byte order mark, which is left out. Throws a ModelError that names the file, and
 * the line that is not UTF-8: guessing an encoding would spoil every label with an umlaut.
 */
export async function readTextFile(path: string): Promise<string> {
  const { file, bytes } = await openSource(path)
  try {
    if (bytes > maxBytes)
      throw new ModelError(`${path}: ${bytes} bytes, which is too large for a text (at most ${maxBytes})`)
    return decodeText(await file.readFile(), path)
  } finally {
    await file.close()
  }
}

/** The text in `bytes`, as `readTextFile` reads it; `path` is for the message. */
export function decodeText(bytes: Uint8Array, path: string): string {
  const encoding = encodingOf(bytes)
  const text = decode(bytes, encoding)
  if (text === undefined) throw new ModelError(`${path}: ${wrongLine(bytes, encoding)}`)
  if (text.includes('\0')) throw new ModelError(`${path}: holds NUL bytes, so it is no text in UTF-8`)
  return text
}

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be'

function encodingOf([first, second]: Uint8Array): Encoding {
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  return first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8'
}

/** Undefined where `bytes` are not valid in this encoding. The byte order mark is left out. */
function decode(bytes: Uint8Array, encoding: Encoding): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return undefined
    throw error
  }
}

function wrongLine(bytes: Uint8Array, encoding: Encoding): string {
  if (encoding !== 'utf-8') return `begins like ${encoding.toUpperCase()} but is not: save it as UTF-8`
  const lines = splitLines(bytes)
  const index = lines.findIndex(line => decode(line, 'utf-8') === undefined)
  const asWindows = new TextDecoder('windows-1252').decode(lines[index]).trim().slice(0, 60)
  return (
    `line ${index + 1} is not UTF-8: save the file as UTF-8 ` +
    `(if it should read ${JSON.stringify(asWindows)}, iconv -f WINDOWS-1252 -t UTF-8 does that)`
  )
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines = []
  let from = 0
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, from)) {
    lines.push(bytes.subarray(from, at))
    from = at + 1
  }
  return [...lines, bytes.subarray(from)]
}
