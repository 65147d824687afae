import { KerasError } from './error.ts'

/** Puts the file's name before the message of a KerasError. */
export function forFile<Result>(path: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    throw error instanceof KerasError ? new KerasError(`${path}: ${error.message}`) : error
  }
}

/** `3.15.1` is 3. TensorFlow.js, whose version is `tfjs-layers 4.22.0`, and files that don't say do as Keras 2 did. */
export function majorVersion(version: unknown): number {
  const [, major] = /^(\d+)\./.exec(String(version)) ?? []
  return major === undefined ? 2 : Number(major)
}
