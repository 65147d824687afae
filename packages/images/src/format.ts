/** Width and height in pixels. */
export interface Size {
  width: number
  height: number
}

/** What a picture's header says that decoding will cost. Nothing is decoded to know it. */
export interface Measured extends Size {
  /**
   * Pixels that a decoder computes for the first picture: all its tiles, planes of transparency and passes. A file can claim a
   * small picture and hide a large one in its parts, so this and not only width × height is bounded.
   */
  decodedPixels: number
  /** The picture has to be in memory as a whole, because it is stored in passes, tiles or turned on its side. */
  isBuffered: boolean
}

/** A file that holds one picture and nothing that moves, and where that lies on the canvas of what it was cut out of. */
export interface FirstFrame {
  bytes: Buffer
  /** Only where the frame does not fill the canvas: what it leaves free is white. */
  placement?: { canvas: Size; left: number; top: number }
  /** Where a decoder can't put the channels of a file together: a grey file for each of them. */
  planes?: Buffer[]
  /** The last plane is an opacity that the others were multiplied by. */
  isPremultiplied?: boolean
  /** The ICC profile of what a decoder hands out without it. */
  profile?: Buffer
  /** The decoder hands out Y, Cb and Cr as if they were red, green and blue. */
  isYcbcr?: boolean
}

/** One row of the table of formats. Each function throws a FormatError or a RangeError for a broken file. */
export interface Format {
  /** What a client may call it. */
  mediaType: string
  /** Whether the first bytes are this format's. */
  matches: (bytes: Buffer) => boolean
  /** Reads the header. Linear in the bytes, and bounded in steps. */
  measure: (bytes: Buffer) => Measured
  /** The file without its other frames, pages and whatever pixels are not made of. Itself where there is nothing to cut. */
  firstFrame: (bytes: Buffer) => FirstFrame
}

/** A file that can't be read, or only by a decoder that nobody here has. The message is for the client. */
export class FormatError extends Error {
  readonly code = 'FORMAT'
}

/** Counts the steps of a walk over a file's parts. Bytes alone are no bound: ten megabytes hold a million boxes. */
export function createSteps(format: string, most: number): () => void {
  let steps = 0
  return () => {
    if (++steps > most) throw new FormatError(`The ${format} has more than ${most} parts, which no honest file has`)
  }
}

export function startsWith(bytes: Buffer, signature: readonly number[]): boolean {
  return signature.every((byte, at) => bytes[at] === byte)
}
