/** Bytes after the end of a picture, which decoders ignore and the hooked worker acts on. */
export const poisonMark = 'streamsight-test-poison'
export const hangMark = 'streamsight-test-hang'

export function marked(image: Buffer, mark: string): Buffer {
  return Buffer.concat([image, Buffer.from(mark)])
}
