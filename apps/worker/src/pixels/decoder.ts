import type { Input } from '@streamsight/models'
import type { FailureCode, ImageType } from '@streamsight/protocol'

/** An image that can't become pixels; the message is for the client. */
export class DecodeError extends Error {
  readonly code: FailureCode

  constructor (code: FailureCode, message: string) {
    super(message)
    this.code = code
  }
}

export interface DecoderOptions {
  input: Input
  /** Width × height beyond which an image is refused before its pixels are allocated. */
  maxPixels: number
}

/** Uploaded bytes → RGB, 8 bits a channel, `width · height · 3` of the model's input, upright, on white where transparent. */
export interface Decoder {
  readonly name: string
  /** Rejects with a DecodeError. */
  decode: (image: Buffer, type: ImageType) => Promise<Uint8Array>
  close: () => Promise<void>
}

/** No honest image takes this long, even where all cores are busy; decoding is given up with UNDECODABLE_IMAGE. */
export const decodeTimeoutMs = 10_000
