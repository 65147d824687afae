import type { ImageFormat } from '@streamsight/images'
import { jpegProblem, readJpeg } from './jpeg.ts'
import { orientationOf, type Orientation } from './orientation.ts'
import { readPng } from './png.ts'
import { bytesOf, readDirectory, tags, valueOf } from './tiff.ts'

/** The types that this project reads without libvips. */
export type PortableType = Exclude<ImageFormat, 'webp' | 'avif'>

export function isPortable(type: ImageFormat): type is PortableType {
  return type !== 'webp' && type !== 'avif'
}

/** What a picture says of itself before it is decoded. */
export interface Header {
  /** Width × height. */
  pixels: number
  orientation: Orientation
  /** The ICC profile, if one is embedded that is meant for as many channels as the picture has. */
  profile?: Buffer | undefined
  /** Why no decoder in JavaScript reads it, for the client. */
  problem?: string | undefined
}

/** Throws a RangeError if the header is cut short. */
export function readHeader(image: Buffer, type: PortableType): Header {
  switch (type) {
    case 'jpeg':
      return jpegHeader(image)
    case 'png':
      return pngHeader(image)
    case 'tiff':
      return tiffHeader(image)
    case 'gif':
      return { pixels: image.readUInt16LE(6) * image.readUInt16LE(8), orientation: 1 }
    case 'bmp':
      return { pixels: bmpPixels(image), orientation: 1 }
  }
}

function jpegHeader(image: Buffer): Header {
  const jpeg = readJpeg(image)
  return {
    pixels: jpeg.width * jpeg.height,
    orientation: orientationOf(jpeg.exif),
    profile: matching(jpeg.profile, jpeg.channels === 1 ? 'GRAY' : 'RGB '),
    problem: jpegProblem(jpeg, { arithmetic: false })
  }
}

function pngHeader(image: Buffer): Header {
  const { width, height, grey, exif, profile } = readPng(image)
  return {
    pixels: width * height,
    orientation: orientationOf(exif),
    profile: matching(profile, grey ? 'GRAY' : 'RGB ')
  }
}

function tiffHeader(image: Buffer): Header {
  const directory = readDirectory(image)
  return {
    pixels: valueOf(directory, tags.width, 0) * valueOf(directory, tags.height, 0),
    orientation: orientationOf(image),
    profile: matching(bytesOf(directory, tags.profile), valueOf(directory, tags.photometric, 1) <= 1 ? 'GRAY' : 'RGB ')
  }
}

/** OS/2's first header has sizes of 16 bits; rows may be stored from top to bottom, which a negative height says. */
function bmpPixels(image: Buffer): number {
  if (image.readUInt32LE(14) === 12) return image.readUInt16LE(18) * image.readUInt16LE(20)
  return Math.abs(image.readInt32LE(18) * image.readInt32LE(22))
}

/** A profile for another colour space than the picture's can't be applied. */
function matching(profile: Buffer | undefined, space: string): Buffer | undefined {
  return profile?.toString('latin1', 16, 20) === space ? profile : undefined
}
