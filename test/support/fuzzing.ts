import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorTable, type ErrorCode } from '../../apps/gateway/dist/errors.js'
import { mutant, type Mutant, type Seed } from './mutate.ts'
import type { Answer, System } from './system.ts'

export interface FuzzOptions {
  seed: number
  /** First mutant, and one beyond the last. */
  from: number
  to: number
  /** An answer that takes longer is an offence; Infinity where the machine has other things to do. */
  slowMs: number
  onProgress?: (done: number) => void
}

/** An upload that was not answered as it should be. */
export interface Offence {
  index: number
  origin: string
  what: string
  file: string
}

export interface FuzzReport {
  /** How often each status and code was answered. */
  answers: Record<string, number>
  slowest: { ms: number; index: number; origin: string }
  offences: Offence[]
}

/** What may become of an upload, whatever is in it. */
export const allowedCodes: ErrorCode[] = [
  'NO_IMAGE',
  'IMAGE_TOO_LARGE',
  'TOO_MANY_PIXELS',
  'UNSUPPORTED_IMAGE',
  'UNDECODABLE_IMAGE'
]

/** Enough that gateway, queue and decoder never wait for each other. */
const concurrency = 16

/** Sends mutants of `seeds` through the real HTTP path and looks at every answer. */
export async function fuzz(
  system: System,
  seeds: readonly Seed[],
  { seed, from, to, slowMs, onProgress }: FuzzOptions
): Promise<FuzzReport> {
  const report: FuzzReport = { answers: {}, slowest: { ms: 0, index: -1, origin: '' }, offences: [] }
  let next = from
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let index = next++; index < to; index = next++) {
        await tryOne(system, { ...mutant(seeds, { seed, index }), index, slowMs }, report)
        onProgress?.(index - from + 1)
      }
    })
  )
  return report
}

async function tryOne(
  system: System,
  upload: Mutant & { index: number; slowMs: number },
  report: FuzzReport
): Promise<void> {
  const { image, origin, index, slowMs } = upload
  const startedMs = performance.now()
  const answer = await system.predict(image).catch((error: unknown) => String(error))
  const ms = performance.now() - startedMs
  if (ms > report.slowest.ms) report.slowest = { ms, index, origin }
  const name = typeof answer === 'string' ? answer : `${answer.status} ${answer.body.error?.code ?? 'ok'}`
  report.answers[name] = (report.answers[name] ?? 0) + 1
  const what = wrongWith(answer) ?? (ms > slowMs ? `took ${Math.round(ms)} ms` : undefined)
  if (what !== undefined) report.offences.push({ index, origin, what, file: keep(image, index) })
}

function wrongWith(answer: Answer | string): string | undefined {
  if (typeof answer === 'string') return answer
  const { status, body } = answer
  if (status === 200)
    return body.success && body.predictions?.length === 5 ? undefined : `200 with ${JSON.stringify(body)}`
  const code = allowedCodes.find(code => code === body.error?.code)
  return code !== undefined && errorTable[code].status === status ? undefined : `${status} with ${JSON.stringify(body)}`
}

let folder: string | undefined

function keep(image: Buffer, index: number): string {
  folder ??= mkdtempSync(join(tmpdir(), 'streamsight-fuzz-'))
  const file = join(folder, `${index}.bin`)
  writeFileSync(file, image)
  return file
}
