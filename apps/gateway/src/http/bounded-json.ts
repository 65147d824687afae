import { randomUUID } from 'node:crypto'
import { shown } from '@streamsight/service'
import { ApiError } from '../errors.ts'

/** A string that is too long to be looked at in one go: its bytes between the quotes, escapes and all. */
export type LongText = Buffer

/** Strings longer than this are cut out of the text before it is parsed. */
const longBytes = 1_024

/** Bytes that a body may have beside its long strings: what is left is parsed in a few milliseconds whatever it is. */
const maxSkeletonBytes = 32_768

/** Quotes within a string, and backslashes before one, which are looked at one by one. Base64 has none. */
const maxQuotes = 4_096

/** Objects and lists within each other. */
const maxDepth = 16

/** Stands in the skeleton for a long string; nobody can write one who does not know this process' own id. */
const placeholder = randomUUID()

const quote = 0x22
const backslash = 0x5c

/**
 * JSON of up to some megabytes, nearly all of it in a few strings. Such a string is found by its quotes and comes back as the
 * bytes between them; only what is left, of limited size, is parsed. Throws MALFORMED_REQUEST, also for a field that is there
 * twice, as parsers differ in which of the two counts.
 */
export function readJson(body: Buffer): unknown {
  const { skeleton, texts } = cutOut(body)
  const value = parse(skeleton, texts)
  refuseTwins(skeleton)
  return value
}

function parse(skeleton: string, texts: LongText[]): unknown {
  try {
    return JSON.parse(skeleton, (_key, value: unknown) =>
      typeof value === 'string' && value.startsWith(placeholder)
        ? texts[Number(value.slice(placeholder.length))]
        : value
    )
  } catch (cause) {
    throw malformed('The body is not JSON', cause)
  }
}

/** The text without its long strings, and these. */
function cutOut(body: Buffer): { skeleton: string; texts: LongText[] } {
  const pieces: Buffer[] = []
  const texts: LongText[] = []
  let bytes = 0
  let at = startOf(body)
  for (;;) {
    const opening = body.indexOf(quote, at)
    const closing = opening === -1 ? -1 : closingQuote(body, opening + 1)
    if (closing === -1) break
    if (closing - opening > longBytes) {
      keep(body.subarray(at, opening))
      keep(Buffer.from(`"${placeholder}${texts.length}"`))
      texts.push(body.subarray(opening + 1, closing))
    } else keep(body.subarray(at, closing + 1))
    at = closing + 1
  }
  keep(body.subarray(at))
  return { skeleton: Buffer.concat(pieces).toString(), texts }

  function keep(piece: Buffer) {
    bytes += piece.length
    if (bytes > maxSkeletonBytes) throw malformed(`The JSON has more than ${maxSkeletonBytes} bytes beside its image`)
    pieces.push(piece)
  }
}

/** Behind a byte order mark, which some editors and PowerShell write. */
function startOf(body: Buffer): number {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0
}

/** Where a string ends that begins at `from`; -1 if it does not. */
function closingQuote(body: Buffer, from: number): number {
  let escaped = 0
  for (let at = body.indexOf(quote, from); at !== -1; at = body.indexOf(quote, at + 1)) {
    let slashes = 0
    while (at - slashes > from && body[at - slashes - 1] === backslash) {
      if (++slashes > maxQuotes) throw malformed(`A string has more than ${maxQuotes} backslashes in a row`)
    }
    if (slashes % 2 === 0) return at
    if (++escaped > maxQuotes) throw malformed(`A string has more than ${maxQuotes} quotes in it`)
  }
  return -1
}

/** Refuses what has a field twice or is nested too deeply. The skeleton is sound JSON, so its punctuation says where we are. */
function refuseTwins(skeleton: string): void {
  const open: Array<Set<string>> = []
  for (const [token, text] of skeleton.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (text !== undefined) {
      const name = JSON.parse(text) as string
      if (name.startsWith(placeholder)) throw malformed(`A field's name has more than ${longBytes} bytes`)
      const names = open.at(-1)
      if (names?.has(name)) throw malformed(`Field ${shown(name)} is there twice`)
      names?.add(name)
    }
    if (open.length > maxDepth) throw malformed(`The JSON is nested more than ${maxDepth} deep`)
  }
}

function malformed(message: string, cause?: unknown): ApiError {
  return new ApiError('MALFORMED_REQUEST', { message, cause })
}
