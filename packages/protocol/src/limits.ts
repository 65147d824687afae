/** The numbers both sides rely on, each with its reason. Durations are milliseconds, sizes bytes. */
export const limits = {
  /** Longest wait of one XREADGROUP. Below `socketTimeoutMs`, or an idle read would look like a dead connection. */
  blockMs: 500,

  /** A connection silent for this long is taken for dead and replaced: a hung Redis never closes its sockets. */
  socketTimeoutMs: 3_000,

  /** Keeps an idle connection talking; two may be lost before `socketTimeoutMs`. Behind a blocking read a ping waits, but only `blockMs`. */
  pingIntervalMs: 1_000,

  /** A reply that takes longer is given up. Over `socketTimeoutMs`, so that the connection's own error, which says more, comes first. */
  commandTimeoutMs: 4_000,

  /**
   * How long a worker may hold a job without a sign of life before another takes it. Several times a batch (well under
   * a second on a GPU) and longer than a worker's restart, so that a slow worker is rarely robbed.
   */
  leaseMs: 5_000,

  /** Ten tries to renew or to reclaim within a lease. */
  reaperIntervalMs: 500,

  /** How long an outcome is kept: for CHECK after a lost message, and for a retry with the same Idempotency-Key. */
  resultTtlMs: 60_000,

  /** An outcome that a retry may change (an expired deadline, say) is kept just long enough for CHECK to find it. */
  retryableResultTtlMs: 2_000,

  /** The job marker outlives the job's deadline by this, so that a late worker still finds the job known. */
  jobGraceMs: 5_000,

  /** How often the gateway asks about what it waits for. A lost reply is found within two of these. */
  checkIntervalMs: 500,

  /** Ids in one CHECK: at about 3 µs each, Redis is held for well under a millisecond. */
  checkIds: 200,

  /** Bytes of images in one read: 2 MB × 64 in one reply took 768 ms, 2 MB × 4 took 10. */
  readBytes: 8 * 1024 * 1024,

  /** Dead letters kept. They hold no image, so this is about 500 KB. */
  deadLetters: 1_000,

  /** How often a worker says that it lives, and the gateway looks. */
  heartbeatMs: 1_000,

  /**
   * A worker silent for this long is no longer counted on. Longer than a restart with a large model, so that the kill
   * of an only worker costs its clients a wait and not an error.
   */
  workerSeenMs: 15_000,

  /** A worker silent for this long is forgotten. */
  workerForgottenMs: 300_000,

  /** The local estimate of Redis' clock is renewed this often: quartz drifts by less than 1 ms in the meantime. */
  clockSyncMs: 10_000,

  /** The longest deadline a gateway may be set up with. */
  requestTimeoutMs: 600_000,

  /** Entries older than this are trimmed by the janitor: half as long again as anybody can be waiting. */
  strandedMs: 900_000
} as const
