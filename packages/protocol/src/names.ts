/** The consumer group that all workers of a model share. */
export const group = 'workers'

/** Every key of one model. The hash tag keeps them on one slot, so that scripts work on a Redis Cluster too. */
export interface ModelKeys {
  /** Stream of jobs that no worker has finished yet. */
  jobs: string
  /** Stream of dead letters: metadata and sha256, never the image. */
  dead: string
  /** Hash: what each worker says of itself, as JSON, by worker name. */
  workers: string
  /** Sorted set: when each worker last said something, in Redis' milliseconds, by worker name. */
  seen: string
  /** String: a model's description as JSON, by its digest: see descriptions.ts. */
  about: (digest: string) => string
  /** String: entry id of the job; existence and idempotency marker. */
  job: (id: string) => string
  /** String: the outcome as JSON; the first writer wins. */
  result: (id: string) => string
}

export function keysOf(prefix: string, model: string): ModelKeys {
  const tag = `{${prefix}:${model}}`
  return {
    jobs: `${tag}:jobs`,
    dead: `${tag}:dead`,
    workers: `${tag}:workers`,
    seen: `${tag}:workers:seen`,
    about: digest => `${tag}:about:${digest}`,
    job: id => `${tag}:job:${id}`,
    result: id => `${tag}:res:${id}`
  }
}

/** The pub/sub channel that belongs to one request. */
export function replyChannel(prefix: string, id: string): string {
  return `${prefix}:res:${id}`
}
