import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { Input } from '@streamsight/models'
import { orientationOf, readJpegHeader, type FirstFrame, type ImageFormat, type Size } from '@streamsight/images'
import { DecodeError, decodeTimeoutMs, type Raster } from './decoder.ts'
import { frameOf, type Frame } from './frame.ts'
import { enlarge, pickNearest, sourceOf, type Part } from './resample.ts'
import { isSrgb } from './srgb-profile.ts'
import { toRgb } from './ycbcr.ts'

/** A file that libvips reads, or pixels that another library has decoded. */
export type Source = FileSource | RasterSource
type RasterSource = { kind: 'raster'; raster: Raster; profile: Buffer | undefined }
type FileSource = { kind: 'file'; format: ImageFormat } & FirstFrame

/** What libvips has to know before it decodes a picture. */
interface Facts {
  upright: Size
  profile?: Buffer | undefined
  /** 16 bits a channel, in colour. */
  isDeep: boolean
}

const white = '#ffffff'

/** From a file or pixels to the model's input, on libvips' own threads. Native, or sharp's WebAssembly build of the same library. */
export async function createLibvips(input: Input) {
  prepare()
  return { toInput }

  /** RGB of the model's size. Rejects with a DecodeError. */
  async function toInput(source: Source): Promise<Uint8Array> {
    const startedMs = performance.now()
    try {
      return source.kind === 'raster' ? await decodeRaster(source) : await decodeFile(source)
    } catch (error) {
      if (error instanceof DecodeError) throw error
      // Never by libvips' message: its threads share one, which may be about another picture.
      if (performance.now() - startedMs >= decodeTimeoutMs)
        throw new DecodeError('INFERENCE_FAILED', `The image was not decoded within ${decodeTimeoutMs / 1_000} s`, {
          cause: error
        })
      throw new DecodeError('UNDECODABLE_IMAGE', 'The image is truncated or corrupt', { cause: error })
    }
  }

  async function decodeFile({ format, bytes, placement, planes, isPremultiplied, isYcbcr }: FileSource) {
    if (planes !== undefined) {
      const joined = await join(planes)
      return await fitRaster(isPremultiplied ? unmultiplied(joined) : joined, orientationOf(bytes))
    }
    const facts = await factsOf(bytes, format)
    const picture = decoded(bytes, facts)
    if (placement !== undefined) return await fitRaster(await onCanvas(picture, placement))
    const rgb = await fit(picture, facts.upright, format)
    return isYcbcr ? toRgb(rgb) : rgb
  }

  async function decodeRaster({ raster, profile }: RasterSource): Promise<Uint8Array> {
    if (profile === undefined || isSrgb(profile)) return await fitRaster(raster)
    const bytes = await withProfile(raster, profile)
    return await decodeFile({ kind: 'file', format: 'png', bytes })
  }

  async function fitRaster(raster: Raster, orientation = 1): Promise<Uint8Array> {
    if (orientation === 1) return await fit(open(raster), raster)
    const upright = await raw(open(raster).withMetadata({ orientation }).autoOrient())
    return await fit(open(upright), upright)
  }

  /** Shrinks with libvips. Enlarging, and picking the nearest, it does by half a pixel and by boxes unlike PIL: that we do. */
  async function fit(picture: Sharp, upright: Size, format?: ImageFormat): Promise<Uint8Array> {
    const frame = frameOf(upright, input)
    const { scaled } = frame
    if (input.kernel === 'nearest') return pickNearest(await part(picture, upright, frame), frame, input)
    if (scaled.width > upright.width || scaled.height > upright.height) {
      const shrunk = { width: Math.min(scaled.width, upright.width), height: Math.min(scaled.height, upright.height) }
      return enlarge(await part(resize(picture, shrunk), shrunk, frame), frame, input)
    }
    const { left, top } = frame
    const window = { left, top, width: input.width, height: input.height }
    return (await raw(resize(picture, scaled, format).extract(window))).data
  }

  /** What the window is made of; the rest of a picture that is much wider than high would be megabytes for nothing. */
  async function part(picture: Sharp, from: Size, frame: Frame): Promise<Part> {
    return { picture: await raw(picture.extract(sourceOf(from, frame, input))), from }
  }

  function resize(picture: Sharp, scaled: Size, format?: ImageFormat): Sharp {
    // By default the JPEG decoder averages all but the last factor of 1 to 2, whatever kernel the model wants.
    return picture.resize({ ...scaled, fit: 'fill', kernel: input.kernel, fastShrinkOnLoad: format !== 'jpeg' })
  }
}

function prepare(): void {
  // Every picture is another one: a cache would only hold memory. One thread a picture: pictures run side by side already.
  sharp.cache(false)
  sharp.concurrency(1)
  // Decoders for exotic formats are attack surface that nobody asked for.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer',
      'VipsForeignLoadPngBuffer',
      'VipsForeignLoadWebpBuffer',
      'VipsForeignLoadNsgifBuffer',
      'VipsForeignLoadHeifBuffer',
      'VipsForeignLoadTiffBuffer'
    ]
  })
}

/** The picture upright, in sRGB, on white where transparent. */
function decoded(bytes: Buffer, { profile, isDeep }: Facts): Sharp {
  // A transform to where the picture is already would double the time that a photo takes.
  const isForeign = profile !== undefined && !isSrgb(profile)
  const picture = sharp(bytes, { ...reading, sequentialRead: true, ignoreIcc: !isForeign }).autoOrient()
  // sharp brings 16 bits to Display P3 instead of sRGB, and the rest of the way only if it is told to.
  return finish(isForeign && isDeep ? picture.withIccProfile('srgb') : picture)
}

function open({ data, width, height, channels }: Raster): Sharp {
  return finish(sharp(data, { ...reading, raw: { width, height, channels } }))
}

/** Pixels are bounded by the header, and only one frame or page is left: libvips' own limits would know less. */
const reading = { failOn: 'error', limitInputPixels: false, pages: 1 } as const

function finish(picture: Sharp): Sharp {
  return picture
    .timeout({ seconds: decodeTimeoutMs / 1_000 })
    .flatten({ background: white })
    .toColourspace('srgb')
}

async function raw(picture: Sharp): Promise<Raster> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: info.channels as Raster['channels'] }
}

/** What a frame leaves free of its canvas is white. */
async function onCanvas(picture: Sharp, { canvas, left, top }: NonNullable<FirstFrame['placement']>): Promise<Raster> {
  const { width, height } = canvas
  const { data, ...frame } = await raw(picture)
  const input = { data, raw: { ...frame } }
  const [right, bottom] = [width - left - frame.width, height - top - frame.height]
  return await raw(sharp(input.data, { raw: input.raw }).extend({ left, top, right, bottom, background: white }))
}

/** Channels that were stored apart, one beside the other. */
async function join(planes: Buffer[]): Promise<Raster> {
  const channels = []
  for (const plane of planes) channels.push(await raw(sharp(plane, reading).toColourspace('b-w')))
  const [first] = channels
  if (first === undefined) throw new Error('a picture without channels')
  const data = new Uint8Array(first.width * first.height * channels.length)
  for (const [channel, { data: values }] of channels.entries())
    for (let from = 0, to = channel; from < values.length; from++, to += channels.length)
      data[to] = values[from] as number
  return { ...first, data, channels: channels.length as Raster['channels'] }
}

/** As a PNG: libvips takes profiles from files alone. */
async function withProfile({ data, width, height, channels }: Raster, profile: Buffer): Promise<Buffer> {
  const png = await sharp(data, { ...reading, raw: { width, height, channels } })
    .png({ compressionLevel: 0 })
    .toBuffer()
  const chunk = Buffer.concat([Buffer.from('iCCPicc\0\0', 'latin1'), deflateSync(profile)])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(chunk.length - 4)
  checksum.writeUInt32BE(crc32(chunk))
  return Buffer.concat([png.subarray(0, pngHeaderBytes), length, chunk, checksum, png.subarray(pngHeaderBytes)])
}

/** Signature and IHDR. */
const pngHeaderBytes = 33

/** Colours as they were before they were multiplied by their opacity, in place. */
function unmultiplied(raster: Raster): Raster {
  const { data, channels } = raster
  for (let at = 0; at < data.length; at += channels) {
    const opacity = data[at + channels - 1] as number
    for (let i = at; i < at + channels - 1 && opacity > 0; i++)
      data[i] = Math.min(255, Math.round(((data[i] as number) * 255) / opacity))
  }
  return raster
}

/** libvips is asked, which takes a trip to its threads, unless the header of a JPEG says all: most have no EXIF. */
async function factsOf(bytes: Buffer, format: ImageFormat): Promise<Facts> {
  if (format === 'jpeg') {
    const jpeg = readJpegHeader(bytes)
    if (jpeg.exif === undefined) return { upright: jpeg, profile: jpeg.profile, isDeep: false }
  }
  const { autoOrient, icc, depth, space } = await sharp(bytes, reading).metadata()
  return { upright: autoOrient, profile: icc, isDeep: depth === 'ushort' && space === 'rgb16' }
}
