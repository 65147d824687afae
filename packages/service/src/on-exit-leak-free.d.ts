/** The package has no types of its own. */
declare module 'on-exit-leak-free' {
  /** Calls `task` when the process exits, as long as `held` is alive. */
  export function register<T extends object>(held: T, task: (held: T) => void): void
}
