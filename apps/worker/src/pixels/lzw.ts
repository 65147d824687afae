const [clear, end] = [256, 257]

/**
 * TIFF's LZW: codes of 9 to 12 bits, the first in the highest bits, each of which stands for the bytes of an earlier one and one
 * more. Gives `size` bytes, or fewer if the code ends. Throws an Error at a code that can't be.
 */
export function unpackLzw(packed: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size)
  // Code → where in `out` its bytes stand already, and how many there are.
  const starts = new Uint32Array(4_096)
  const lengths = new Uint16Array(4_096)
  const bits = createBits(packed)
  let [next, width, to, before] = [end + 1, 9, 0, clear]

  while (to < size) {
    const code = bits(width)
    if (code === end || code === undefined) return out.subarray(0, to)
    if (code === clear) {
      ;[next, width] = [end + 1, 9]
    } else {
      const start = to
      if (before !== clear && next < 4_096) {
        // What came before, and the first byte of what comes now: which may be that same sequence.
        starts[next] = start - lengthOf(before)
        lengths[next++] = lengthOf(before) + 1
      }
      if (code >= next) throw new Error('LZW: a code before it was made')
      to = write(code)
      // One earlier than needed, as the first programs did it.
      if (next >= (1 << width) - 1 && width < 12) width++
    }
    before = code
  }
  return out

  function lengthOf(code: number): number {
    return code < clear ? 1 : (lengths[code] as number)
  }

  function write(code: number): number {
    const stop = Math.min(to + lengthOf(code), size)
    if (code < clear) out[to] = code
    else for (let at = to, from = starts[code] as number; at < stop; at++, from++) out[at] = out[from] as number
    return stop
  }
}

/** Takes so many bits at a time; undefined once there are not as many. */
function createBits(bytes: Uint8Array): (width: number) => number | undefined {
  let [at, held, count] = [0, 0, 0]
  return width => {
    while (count < width) {
      if (at === bytes.length) return undefined
      held = ((held << 8) | (bytes[at++] as number)) & 0xfffff
      count += 8
    }
    count -= width
    return (held >> count) & ((1 << width) - 1)
  }
}
