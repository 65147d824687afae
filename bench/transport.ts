import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root } from '../scripts/bootstrap.js'
import { freePort } from '../scripts/redis.js'
import { until } from '../test/support/until.ts'
import { figuresOf, median } from './figures.ts'
import { closedLoop } from './load.ts'
import { observe } from './observe.ts'
import type { Section } from './report.ts'
import { rowOf, type Conditions } from './serving.ts'
import { simulatedWorker, startSystem } from './system.ts'

const clients = 64

/** What gateway, Redis and worker carry when the model costs nothing, against a server that only parses the form. In turn, A B A B. */
export async function measureTransport({ uploads, plan: { rounds, forMs }, progress }: Conditions): Promise<Section> {
  const system = await startSystem({ workerArgs: simulatedWorker, env: { MAX_QUEUE_DEPTH: '100000' } })
  const parser = await startParser()
  try {
    // Both have compiled their hot paths before the first round.
    for (const { url } of [parser, system]) await closedLoop({ url, uploads, clients, durationMs: forMs / 2 })
    const rows: Section['rows'] = []
    const ratios: number[] = []
    for (let round = 1; round <= rounds; round++) {
      progress.step(`transport, round ${round} of ${rounds}`)
      const parsed = figuresOf(await closedLoop({ url: parser.url, uploads, clients, durationMs: forMs }))
      const carried = await observe(system, () => closedLoop({ url: system.url, uploads, clients, durationMs: forMs }))
      ratios.push(carried.imagesPerSecond / parsed.imagesPerSecond)
      rows.push({
        ...rowOf(`round ${round}`, carried),
        'parse only/s': parsed.imagesPerSecond,
        share: ratios.at(-1) ?? NaN
      })
    }
    return {
      title: `The transport alone: an engine that answers at once, ${clients} clients`,
      rows,
      findings: [`The whole protocol carries ${median(ratios).toFixed(2)} of what Fastify parses.`]
    }
  } finally {
    parser.stop()
    await system.stop()
  }
}

async function startParser() {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'bench/parse-only.ts')], {
    cwd: root,
    env: { ...process.env, PORT: String(port) },
    stdio: 'inherit'
  })
  await until('the parser listens', () =>
    fetch(url).then(
      () => true,
      () => false
    )
  )
  return { url, stop: () => child.kill() }
}
