import { test, type TestContext } from 'node:test'

type Run = (t: TestContext) => Promise<void>

/** A fault that `npm test` tries too: the quickest of each kind. */
export function quickFault(name: string, run: Run): void {
  void test(name, run)
}

/** A fault that only `npm run test:faults` tries. */
export function fault(name: string, run: Run): void {
  void test(name, { skip: process.env['FAULTS'] === 'all' ? false : 'part of npm run test:faults' }, run)
}
