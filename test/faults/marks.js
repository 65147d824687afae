/** Node arguments that start the hooked worker. */
export const hooked = ['test/faults/hooked-worker.js']

/** Bytes after the end of a picture, which decoders ignore and the hooked worker acts on. */
export const poisonMark = 'streamsight-test-poison'
export const hangMark = 'streamsight-test-hang'

/**
 * @param {Buffer} image
 * @param {string} mark
 */
export function marked(image, mark) {
  return Buffer.concat([image, Buffer.from(mark)])
}
