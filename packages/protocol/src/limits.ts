/** The numbers both sides rely on, each with its reason. Durations are milliseconds, sizes bytes. */
export const limits = {
  /** Longest wait of one XREADGROUP. Far below `replyOverdueMs`, so that a read that waits is no dead connection. */
  blockMs: 500,

  /** A TCP connection that is not there by then is tried again. */
  connectTimeoutMs: 1_000,

  /**
   * A reply that is this late ends the socket: a half-open connection never ends by itself. Long for a command of
   * microseconds, and short enough that a request sent into a dead socket is answered within 6 s.
   */
  replyOverdueMs: 4_000,

  /** A reply that is this late makes Redis "away" to who asks, while its socket still has `replyOverdueMs`. */
  replyLateMs: 2_000,

  /** An idle connection is asked this often: what is dead is known `replyOverdueMs` later. */
  pingIntervalMs: 500,

  /** Bytes a second of the slowest link that is supported: an image may take this long on top of `replyOverdueMs`. */
  slowLinkBytesPerSecond: 250_000,

  /**
   * Bytes of images that are on their way to Redis at once; what is more waits in the gateway, where it can still be dropped.
   * At 100 ms of latency that allows 10 MB/s, and at 1.5 MB/s the socket holds no more than 0.7 s.
   */
  uploadWindowBytes: 1024 * 1024,

  /**
   * How long a worker may hold a job without a sign of life before another takes it. Several times a batch (well under
   * a second on a GPU) and longer than a worker's restart, so that a slow worker is rarely robbed.
   */
  leaseMs: 5_000,

  /** Ten tries to renew or to reclaim within a lease. */
  reaperIntervalMs: 500,

  /** How long an outcome is kept: for *check* after a lost message, and for a retry with the same Idempotency-Key. */
  resultTtlMs: 60_000,

  /** An outcome that a retry may change (an expired deadline, say) is kept just long enough for *check* to find it. */
  retryableResultTtlMs: 2_000,

  /** The job marker outlives the job's deadline by this, so that a late worker still finds the job known. */
  jobGraceMs: 5_000,

  /** How often the gateway asks about what it waits for. A lost reply is found within two of these. */
  checkIntervalMs: 500,

  /** Ids in one *check*: at about 3 µs each, Redis is held for well under a millisecond. */
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
