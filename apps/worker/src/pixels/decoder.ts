import { FormatError, type ImageFormat } from '@streamsight/images'
import type { FailureCode } from '@streamsight/protocol'

/** An image that can't become pixels; the message is for the client. */
export class DecodeError extends Error {
  readonly code: FailureCode

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** What the table of formats says is wrong with a file, said of its decoding. */
export function asDecodeError<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (error instanceof FormatError) throw new DecodeError('UNDECODABLE_IMAGE', error.message, { cause: error })
    throw error
  }
}

/** Uploaded bytes → RGB, 8 bits a channel, `width · height · 3` of the model's input, upright, on white where transparent. */
export interface Decoder {
  readonly name: string
  /** Rejects with a DecodeError. */
  decode: (image: Buffer, format: ImageFormat) => Promise<Uint8Array>
  close: () => Promise<void>
}

/** Pixels in memory: rows of 8-bit samples. */
export interface Raster {
  data: Uint8Array
  width: number
  height: number
  channels: 1 | 2 | 3 | 4
}

/**
 * Wall-clock limit of one decode, in ms. The work of a decode is bounded by what its header says, so only a decoder that hangs, or
 * a machine with no time for it, reaches this. Three workers in turn that hang for as long stay well below a deadline of 90 s, so
 * that the image is given up, and does not hang a fourth.
 */
export const decodeTimeoutMs = 12_000
