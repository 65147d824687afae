export { FormatError, type FirstFrame, type Measured, type Size } from './format.ts'
export * from './formats.ts'
export { readJpegHeader, type JpegHeader } from './jpeg.ts'
export { orientationOf } from './tiff.ts'
