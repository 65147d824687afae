/**
 * Redis' wire format, as far as a proxy must know it: where a value ends. RESP2 and RESP3, requests and replies. The parsers on npm
 * make values of the bytes; we need the bytes, unchanged.
 */

const lineBreak = '\r\n'
const lineBreakBytes = 2

/** Splits a stream into whole values, however its chunks are cut. The returned function takes the next chunk. */
export function createFrameReader(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer[] = []
  let heldBytes = 0
  let neededBytes = 1

  return chunk => {
    held.push(chunk)
    heldBytes += chunk.length
    if (heldBytes < neededBytes) return
    let rest = held.length === 1 ? chunk : Buffer.concat(held)
    let end = endOfValue(rest, 0)
    while (end <= rest.length) {
      onFrame(rest.subarray(0, end))
      rest = rest.subarray(end)
      end = endOfValue(rest, 0)
    }
    held = rest.length === 0 ? [] : [rest]
    heldBytes = rest.length
    neededBytes = end
  }
}

/** The arguments of a request, the command first. */
export function argumentsOf(frame: Buffer): Buffer[] {
  const args: Buffer[] = []
  let at = frame.indexOf(lineBreak) + lineBreakBytes
  while (at < frame.length) {
    const start = frame.indexOf(lineBreak, at) + lineBreakBytes
    const end = endOfValue(frame, at)
    args.push(frame.subarray(start, end - lineBreakBytes))
    at = end
  }
  return args
}

/** What Redis says unasked: messages, and its confirmations of SUBSCRIBE and UNSUBSCRIBE. */
export function isPush(frame: Buffer): boolean {
  return frame[0] === '>'.charCodeAt(0)
}

/** `message` and error code of an error reply, as bytes. */
export function errorReply(message: string): Buffer {
  return Buffer.from(`-${message}${lineBreak}`)
}

/** Where the value at `at` ends. A number beyond the buffer's end if it is not all there: so many bytes are needed at least. */
function endOfValue(buffer: Buffer, at: number): number {
  const lineEnd = buffer.indexOf(lineBreak, at)
  if (lineEnd === -1) return buffer.length + 1
  const next = lineEnd + lineBreakBytes
  const count = Number(buffer.toString('latin1', at + 1, lineEnd))
  switch (String.fromCharCode(buffer[at] ?? 0)) {
    case '$':
    case '=':
    case '!':
      return count < 0 ? next : next + count + lineBreakBytes
    case '*':
    case '~':
    case '>':
      return endOfValues(buffer, next, count)
    case '%':
      return endOfValues(buffer, next, 2 * count)
    case '|':
      return endOfValues(buffer, next, 2 * count + 1)
    default:
      return next
  }
}

function endOfValues(buffer: Buffer, at: number, count: number): number {
  let end = at
  for (let i = 0; i < count && end <= buffer.length; i++) end = endOfValue(buffer, end)
  return end
}
