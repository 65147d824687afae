import { FormatError, type Size } from './format.ts'
import type { Items } from './iso-boxes.ts'

/** What pictures in a picture file are coded with, as their items say it: AV1 and HEVC. */
export const coders = ['av01', 'hvc1']

/**
 * The largest size that the coder of a picture says, in sequence headers of AV1 or parameter sets of HEVC. The box beside it that a
 * decoder is asked to believe may say anything. Throws a FormatError where there is none.
 */
export function codedSize(items: Items, item: number): Size {
  const type = items.types.get(item)
  if (type === undefined || !coders.includes(type))
    throw new FormatError(`The picture file holds pictures of kind ${JSON.stringify(type)}, which are not supported`)
  const settings = items.properties.get(item)?.find(({ type }) => type === 'av1C' || type === 'hvcC')?.content
  const content = items.contentOf(item)
  const headers = type === 'av01' ? sequenceHeaders : parameterSets
  const sizes = whatIsThere(() => headers(content, settings, items.step))
  const [first, ...others] = sizes
  if (first === undefined) throw new FormatError('The picture file does not say the size of its pixels')
  return others.reduce((most, size) => (size.width * size.height > most.width * most.height ? size : most), first)
}

/** All up to where the bytes end before they should. */
function whatIsThere(sizes: () => Generator<Size>): Size[] {
  const found: Size[] = []
  try {
    for (const size of sizes()) found.push(size)
  } catch (error) {
    // A decoder will not get further than we did.
    if (!(error instanceof RangeError)) throw error
  }
  return found
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

/** AV1 specification 5.5: the units of the settings, which a decoder is given first, and of the picture. */
function* sequenceHeaders(content: Buffer, settings: Buffer | undefined, step: () => void): Generator<Size> {
  for (const units of [settings?.subarray(4), content]) if (units !== undefined) yield* sequenceHeadersIn(units, step)
}

function* sequenceHeadersIn(units: Buffer, step: () => void): Generator<Size> {
  for (let at = 0; at < units.length;) {
    step()
    const header = units.readUInt8(at)
    at += (header & 4) === 0 ? 1 : 2
    const { value, bytes } = (header & 2) === 0 ? { value: units.length - at, bytes: 0 } : leb128(units, at)
    at += bytes
    if (((header >> 3) & 15) === sequenceHeader) yield sizeInSequence(units.subarray(at, at + value))
    at += value
  }
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

function sizeInSequence(header: Buffer): Size {
  const { bits, skip, golomb } = createBits(header)
  skip(4)
  if (bits(1) === 1) skip(5)
  else {
    const delayBits = bits(1) === 1 ? skipTiming() : 0
    const hasDelay = bits(1) === 1
    for (let point = bits(5); point >= 0; point--) {
      skip(12)
      if (bits(5) > 7) skip(1)
      if (delayBits > 0 && bits(1) === 1) skip(2 * delayBits + 1)
      if (hasDelay && bits(1) === 1) skip(4)
    }
  }
  const [widthBits, heightBits] = [bits(4) + 1, bits(4) + 1]
  return { width: bits(widthBits) + 1, height: bits(heightBits) + 1 }

  /** Returns how many bits a decoder's delay has, 0 where none is said. */
  function skipTiming(): number {
    skip(64)
    if (bits(1) === 1) golomb()
    if (bits(1) === 0) return 0
    const delayBits = bits(5) + 1
    skip(32 + 10)
    return delayBits
  }
}

const sequenceParameters = 33

/** ISO/IEC 14496-15 8.3.3: arrays of parameter sets behind 22 bytes of configuration; more may stand among the picture's own units. */
function* parameterSets(content: Buffer, settings: Buffer | undefined, step: () => void): Generator<Size> {
  if (settings === undefined) return
  let at = 23
  for (let array = settings.readUInt8(22); array > 0; array--) {
    const count = settings.readUInt16BE(at + 1)
    at += 3
    for (let i = 0; i < count; i++) {
      step()
      const end = at + 2 + settings.readUInt16BE(at)
      yield* sizeInUnit(settings.subarray(at + 2, end))
      at = end
    }
  }
  const lengthBytes = (settings.readUInt8(21) & 3) + 1
  for (let at = 0; at + lengthBytes < content.length;) {
    step()
    const end = at + lengthBytes + content.readUIntBE(at, lengthBytes)
    yield* sizeInUnit(content.subarray(at + lengthBytes, end))
    at = end
  }
}

function* sizeInUnit(unit: Buffer): Generator<Size> {
  if (unit.length > 0 && ((unit.readUInt8(0) >> 1) & 63) === sequenceParameters) yield sizeInParameters(unit)
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
