import type { Input } from '@streamsight/models'
import type { ImageFormat } from '@streamsight/images'
import type { FailureCode } from '@streamsight/protocol'

/** An image that can't become pixels; the message is for the client. */
export class DecodeError extends Error {
  readonly code: FailureCode

  constructor(code: FailureCode, message: string) {
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
  decode: (image: Buffer, type: ImageFormat) => Promise<Uint8Array>
  close: () => Promise<void>
}

/**
 * The longest that a decode goes on whatever it got of the cores, in milliseconds. Only a decoder that waits for ever reaches it:
 * one that computes for ever has used up its budget long before. Three workers in turn that hang for as long stay well below a deadline
 * of 90 s, so that the image is given up, and does not hang a fourth.
 */
export const decodeTimeoutMs = 12_000
