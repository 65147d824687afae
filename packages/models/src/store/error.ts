/** Something is wrong with a model on disk; the message names the file or field and what was expected. */
export class ModelError extends Error {
  readonly code = 'MODEL'
}
