import type { Box } from './iso-boxes.ts'
import type { Size } from './format.ts'

/**
 * The size that the coder of a picture says, in the sequence header of AV1 or the parameter set of HEVC. The box beside it that a
 * decoder is asked to believe may say anything. Undefined where there is none to be read.
 */
export function codedSize(properties: Box[], content: Buffer): Size | undefined {
  try {
    const hevc = properties.find(({ type }) => type === 'hvcC')
    if (hevc !== undefined) return sizeOfHevc(hevc.content)
    return sizeOfAv1(content)
  } catch {
    // It is no bound then; a decoder will not get further with it than we did.
    return undefined
  }
}

/** Reads numbers of some bits from the highest on. Throws a RangeError at the end. */
function createBits(bytes: Buffer) {
  let at = 0
  const bits = (count: number): number => {
    let value = 0
    for (let i = 0; i < count; i++, at++) value = value * 2 + ((bytes.readUInt8(at >> 3) >> (7 - (at & 7))) & 1)
    return value
  }
  return {
    bits,
    skip: (count: number): void => {
      at += count
    },
    /** Exp-Golomb: as many zeros as bits follow the one behind them. */
    golomb(): number {
      let zeros = 0
      while (bits(1) === 0) if (++zeros > 32) throw new RangeError('a number of more than 32 bits')
      return 2 ** zeros - 1 + bits(zeros)
    }
  }
}

const sequenceHeader = 1

/** AV1 specification 5.5: up to the sizes in the first sequence header of the first units. */
function sizeOfAv1(content: Buffer): Size | undefined {
  let at = 0
  for (let unit = 0; unit < 8 && at < content.length; unit++) {
    const header = content.readUInt8(at)
    const type = (header >> 3) & 15
    at += (header & 4) === 0 ? 1 : 2
    const { value, bytes } = (header & 2) === 0 ? { value: content.length - at, bytes: 0 } : leb128(content, at)
    at += bytes
    if (type === sequenceHeader) return sizeInSequence(content.subarray(at, at + value))
    at += value
  }
  return undefined
}

function leb128(content: Buffer, at: number): { value: number; bytes: number } {
  let value = 0
  for (let bytes = 1; bytes <= 8; bytes++) {
    const byte = content.readUInt8(at + bytes - 1)
    value += (byte & 0x7f) * 2 ** (7 * (bytes - 1))
    if (byte < 0x80) return { value, bytes }
  }
  throw new RangeError('a length of more than 8 bytes')
}

function sizeInSequence(header: Buffer): Size | undefined {
  const { bits, skip } = createBits(header)
  skip(4)
  const isReduced = bits(1) === 1
  if (isReduced) skip(5)
  else {
    // Timing information, which no still picture has, would stand before the sizes.
    if (bits(1) === 1) return undefined
    const hasDelay = bits(1) === 1
    for (let point = bits(5); point >= 0; point--) {
      skip(12)
      if (bits(5) > 7) skip(1)
      if (hasDelay && bits(1) === 1) skip(4)
    }
  }
  const [widthBits, heightBits] = [bits(4) + 1, bits(4) + 1]
  return { width: bits(widthBits) + 1, height: bits(heightBits) + 1 }
}

const sequenceParameters = 33

/** ISO/IEC 14496-15 8.3.3: arrays of parameter sets behind 22 bytes of configuration. */
function sizeOfHevc(configuration: Buffer): Size | undefined {
  let at = 23
  for (let array = configuration.readUInt8(22); array > 0; array--) {
    const type = configuration.readUInt8(at) & 63
    const count = configuration.readUInt16BE(at + 1)
    at += 3
    for (let i = 0; i < count; i++) {
      const length = configuration.readUInt16BE(at)
      if (type === sequenceParameters) return sizeInParameters(configuration.subarray(at + 2, at + 2 + length))
      at += 2 + length
    }
  }
  return undefined
}

/** H.265 7.3.2.2, up to the sizes. */
function sizeInParameters(unit: Buffer): Size {
  const { bits, skip, golomb } = createBits(withoutEmulation(unit.subarray(2)))
  skip(4)
  const layers = bits(3)
  skip(1 + 96)
  const flags = Array.from({ length: layers }, () => [bits(1), bits(1)] as const)
  if (layers > 0) skip(2 * (8 - layers))
  for (const [hasProfile, hasLevel] of flags) skip((hasProfile ? 88 : 0) + (hasLevel ? 8 : 0))
  golomb()
  if (golomb() === 3) skip(1)
  return { width: golomb(), height: golomb() }
}

/** A 3 behind two zeros is there only so that no start code turns up by chance. */
function withoutEmulation(bytes: Buffer): Buffer {
  const kept = [...bytes].filter((byte, at) => !(byte === 3 && bytes[at - 1] === 0 && bytes[at - 2] === 0))
  return Buffer.from(kept)
}
