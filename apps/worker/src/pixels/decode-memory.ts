import { measure, pixelFault, type ImageFormat } from '@streamsight/images'
import { withWatchdog, type OnWedged } from '../watchdog.ts'
import { asDecodeError, DecodeError, decodeTimeoutMs, type Decoder } from './decoder.ts'

/**
 * Bytes a pixel that a process grows by while it decodes one picture, rounded up: peak resident memory over what it was, pictures of 12
 * and 48 megapixels of every shape, sharp 0.35.5 (libvips 8.18) and libheif-js 1.23.2, 2026-11-26. `buffered` where the picture has to be
 * in memory as a whole: progressive or interlaced, or in planes.
 */
const bytesPerPixel: Record<ImageFormat, { streamed: number; buffered: number }> = {
  jpeg: { streamed: 4, buffered: 7 },
  png: { streamed: 4, buffered: 16 },
  webp: { streamed: 6, buffered: 9 },
  gif: { streamed: 13, buffered: 13 },
  avif: { streamed: 16, buffered: 16 },
  heic: { streamed: 10, buffered: 10 },
  tiff: { streamed: 4, buffered: 20 },
  bmp: { streamed: 13, buffered: 13 }
}

/** Rows that libvips keeps while it resizes, and bytes of each pixel in them: a picture much wider than high is mostly that. */
const rows = { most: 50, bytesPerPixel: 24 }

/** Of the file and of the profile in it, which may be most of the file: ours, and those of libvips. */
const copies = 3

export interface DecodeLimits {
  maxPixels: number
  /** Memory that the decodes which run at the same time may take, in bytes. A picture that needs more alone is refused. */
  maxBytes: number
  /** Decodes that run at the same time. */
  maxRunning: number
  /** Large ones among them. */
  maxLarge: number
  onWedged: OnWedged
}

/**
 * A decoder whose pictures wait until there is memory for them, so that many large ones at once take turns instead of exhausting the
 * machine. The time that a picture may take begins when it is let in.
 */
export function withinMemory(decoder: Decoder, { maxPixels, onWedged, ...limits }: DecodeLimits): Decoder {
  const gate = createGate(limits)
  const watchdog = { what: 'decoding', ms: 1.25 * decodeTimeoutMs, onWedged }

  return {
    name: decoder.name,
    close: () => decoder.close(),
    async decode(image, format) {
      const bytes = decodeBytes(image, format)
      return await gate.within(bytes, () => withWatchdog(watchdog, decoder.decode(image, format)))
    }
  }

  /** By the header. Refuses what the gateway would have refused, too: not every job comes through one that reads it as we do. */
  function decodeBytes(image: Buffer, format: ImageFormat): number {
    const measured = asDecodeError(() => measure(image, format))
    const fault = pixelFault(measured, maxPixels)
    if (fault !== undefined) throw new DecodeError('TOO_MANY_PIXELS', fault)
    const { streamed, buffered } = bytesPerPixel[format]
    const { width, height, decodedPixels, isBuffered } = measured
    const inRows = width * Math.min(height, rows.most) * rows.bytesPerPixel
    const bytes = decodedPixels * (isBuffered ? buffered : streamed) + inRows + copies * image.length
    if (bytes > limits.maxBytes) {
      const most = Math.floor(decodedPixels * (limits.maxBytes / bytes))
      throw new DecodeError(
        'TOO_MANY_PIXELS',
        `A ${format} image may have ${most} pixels here, this one has ${decodedPixels}`
      )
    }
    return bytes
  }
}

/** Of the memory, what a picture needs at most that does not wait for any: 4 MB of 250, a JPEG of most of a megapixel. */
const smallShare = 1 / 64

/** From here on a picture is large: 50 MB of 250, a JPEG of more than 12 megapixels. */
const largeShare = 1 / 5

interface Waiting {
  bytes: number
  enter: () => void
}

/**
 * Hands out bytes and places, first come, first served, but that small pictures wait for a place alone, and large ones get few of
 * the places: nobody's photo waits for the panoramas of others.
 */
function createGate({ maxBytes, maxRunning, maxLarge }: Pick<DecodeLimits, 'maxBytes' | 'maxRunning' | 'maxLarge'>) {
  const waiting = new Set<Waiting>()
  let running = 0
  let large = 0
  let taken = 0

  return {
    /** Runs `work` once there is room for it. */
    async within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
      await new Promise<void>(enter => {
        waiting.add({ bytes, enter })
        admit()
      })
      try {
        return await work()
      } finally {
        count(bytes, -1)
        admit()
      }
    }
  }

  function admit(): void {
    let isBlocked = false
    for (const next of waiting) {
      if (running >= maxRunning) return
      if (!isSmall(next.bytes)) isBlocked ||= !hasRoom(next.bytes)
      if (isBlocked && !isSmall(next.bytes)) continue
      waiting.delete(next)
      count(next.bytes, 1)
      next.enter()
    }
  }

  function count(bytes: number, change: 1 | -1): void {
    running += change
    if (isLarge(bytes)) large += change
    if (!isSmall(bytes)) taken += change * bytes
  }

  function hasRoom(bytes: number): boolean {
    return taken + bytes <= maxBytes && (large < maxLarge || !isLarge(bytes))
  }

  function isSmall(bytes: number): boolean {
    return bytes <= maxBytes * smallShare
  }

  function isLarge(bytes: number): boolean {
    return bytes > maxBytes * largeShare
  }
}
