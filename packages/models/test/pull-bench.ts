import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext } from 'node:test'
import type { CatalogEntry } from '../src/pull/catalog.ts'
import { verifyModel } from '../src/index.ts'
import { createNetwork, type NetworkOptions } from '../src/pull/http.ts'
import { pullModel, type PullOptions } from '../src/pull/pull.ts'
import { startFileServer, type Asked, type Fault } from './file-server.ts'
import { entryOf, everyday, everydayFiles, filesIn, temporaryFolder } from './models.ts'

export const onnx = '/model.onnx'
export const half = 1_500_000

/** A server with everyday's ONNX file and labels, an entry for them, and a folder to pull into. */
export async function bench(
  t: TestContext,
  fault?: (asked: Asked) => Fault | undefined,
  { network: networkOptions, ...rest }: { network?: NetworkOptions } & Partial<Omit<PullOptions, 'network'>> = {}
) {
  const files = everydayFiles('model.onnx', 'labels.txt')
  const server = await startFileServer(t, { ...files }, fault)
  const modelsDir = temporaryFolder(t)
  const network = createNetwork(networkOptions)
  t.after(() => network.close())
  const retries: string[] = []
  const entry = entryOf(server.url, files)
  const options: PullOptions = {
    modelsDir,
    network,
    retry: { attempts: 3, firstPauseMs: 1 },
    onRetry: reason => retries.push(reason),
    ...rest
  }
  return {
    server,
    modelsDir,
    entry,
    retries,
    options,
    pull: (change: Partial<PullOptions> = {}) => pullModel(entry, { ...options, ...change })
  }
}

/** The model is whole, as published, and nothing else is left. */
export async function assertPulled(
  modelsDir: string,
  files = ['labels.txt', 'manifest.json', 'model.onnx']
): Promise<void> {
  for await (const { path, fault } of verifyModel(modelsDir, 'pulled')) assert.equal(fault, undefined, path)
  assert.deepEqual(readFileSync(join(modelsDir, 'pulled/model.onnx')), readFileSync(join(everyday, 'model.onnx')))
  assert.deepEqual(
    filesIn(modelsDir),
    files.map(file => `pulled/${file}`)
  )
}

export function assertNoModel(modelsDir: string): void {
  assert.deepEqual(
    filesIn(modelsDir).filter(file => !file.startsWith('.downloads/')),
    []
  )
}

/** Pulls until the file stalls half-way, as `first(onnx, { kind: 'stall', … })` makes it, and is stopped there. */
export async function pullHalf(entry: CatalogEntry, options: PullOptions): Promise<void> {
  const stop = new AbortController()
  const reason = new Error('stopped')
  await assert.rejects(
    pullModel(entry, {
      ...options,
      signal: stop.signal,
      onProgress: received => {
        if (received >= half) stop.abort(reason)
      }
    }),
    reason
  )
}

/** Once for the first request of the file. */
export const first = (path: string, fault: Fault) => (asked: Asked) =>
  asked.path === path && asked.index === 0 ? fault : undefined
