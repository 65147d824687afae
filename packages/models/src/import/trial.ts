import type { Model } from '../store/store.ts'

/**
 * Runs a model as a worker would, before it stands among the others. Rejects with a ModelError that says plainly what is wrong:
 * what is served must be known to run. The engines live in the worker, so whoever imports passes this in.
 */
export type Trial = (model: Model) => Promise<void>
