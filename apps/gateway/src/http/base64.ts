import { setImmediate as othersTurn } from 'node:timers/promises'
import type { LongText } from './bounded-json.ts'

/** Characters decoded in one go; then others get their turn. */
const sliceChars = 131_072

const backslash = 0x5c

/**
 * The bytes of base64 or base64url text, with or without line breaks, padding and a data URL's head; undefined if it is none.
 * A LongText still has JSON's escapes, e.g. the `\/` that PHP writes.
 */
export async function decodeBase64(text: string | LongText): Promise<Buffer | undefined> {
  const target = Buffer.allocUnsafe(Math.ceil((text.length * 3) / 4) + 3)
  let written = 0
  let rest = ''
  let padding = 0
  let isHead = true
  for (const slice of slicesOf(text)) {
    const found = slice === undefined ? undefined : symbolsOf(isHead ? withoutHead(slice) : slice)
    if (found === undefined || (padding > 0 && found.symbols !== '')) return undefined
    isHead = false
    padding += found.padding
    const symbols = rest + found.symbols
    const whole = symbols.length - (symbols.length % 4)
    written += target.write(symbols.slice(0, whole), written, 'base64')
    rest = symbols.slice(whole)
    await othersTurn()
  }
  if (padding > 2) return undefined
  return target.subarray(0, written + target.write(rest, written, 'base64'))
}

/** The text in parts that can be looked at one by one; undefined stands for one whose escapes are none. */
function* slicesOf(text: string | LongText): Generator<string | undefined> {
  if (typeof text === 'string') {
    for (let at = 0; at < text.length; at += sliceChars) yield text.slice(at, at + sliceChars)
    return
  }
  for (let at = 0, end; at < text.length; at = end) {
    end = endOfSlice(text, Math.min(at + sliceChars, text.length))
    yield unescaped(text.toString('latin1', at, end))
  }
}

/** The nearest place before `end` where no escape sequence is cut in two: these are `\x` and `\uxxxx`. */
function endOfSlice(text: LongText, end: number): number {
  const last = text.lastIndexOf(backslash, end - 1)
  if (last < end - 5 || end === text.length) return end
  let run = 1
  while (text[last - run] === backslash) run++
  const length = text[last + 1] === 'u'.charCodeAt(0) ? 6 : 2
  // Of a run of backslashes each second one belongs to the one before it.
  return run % 2 === 1 && last + length > end ? last : end
}

function unescaped(text: string): string | undefined {
  if (!text.includes('\\')) return text
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    // Said to the client as what it is: not base64.
    return undefined
  }
}

function withoutHead(text: string): string {
  return text.startsWith('data:') ? text.replace(/^data:[^,]*;base64,/, '') : text
}

function symbolsOf(text: string): { symbols: string; padding: number } | undefined {
  // Some encoders break lines every 76 characters.
  const found = /^([A-Za-z0-9+/_-]*)(=*)$/.exec(/\s/.test(text) ? text.replaceAll(/\s+/g, '') : text)
  return found ? { symbols: found[1] ?? '', padding: (found[2] ?? '').length } : undefined
}
