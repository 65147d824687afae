/**
 * `util.isNullOrUndefined`, which tfjs-node calls for every tensor and Node 23 took out. Imported before
 * TensorFlow.js, so that its native binding finds it.
 */
import util from 'node:util'

const old = util as { isNullOrUndefined?: (value: unknown) => boolean }
old.isNullOrUndefined ??= value => value === null || value === undefined
