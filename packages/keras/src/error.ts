/** A Keras or TensorFlow.js file that is damaged or holds what can't be converted; the message names the layer or field. */
export class KerasError extends Error {
  readonly code = 'KERAS'
}
