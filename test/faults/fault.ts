import { test, type TestContext } from 'node:test'

type Run = (t: TestContext) => Promise<void>

/** `npm run test:faults` tries everything; `npm test` what tells most in a few minutes. */
const isFull = process.env['FAULTS'] === 'all'

/** How often, or of how many: `quick` in `npm test`, `full` in `npm run test:faults`. */
export function extent(quick: number, full: number): number {
  return isFull ? full : quick
}

/** A fault that `npm test` tries too: the quickest of each kind. */
export function quickFault(name: string, run: Run): void {
  void test(name, run)
}

/** A fault that only `npm run test:faults` tries. */
export function fault(name: string, run: Run): void {
  void test(name, { skip: isFull ? false : 'part of npm run test:faults' }, run)
}
