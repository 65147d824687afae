import { figuresOf } from './figures.ts'
import { burst, closedLoop, type LoadResult } from './load.ts'
import { observe } from './observe.ts'
import type { Section } from './report.ts'
import { cpuColumns, type Conditions } from './serving.ts'
import { simulatedWorker, startSystem } from './system.ts'
import { asForm, photoLike } from './pictures.ts'
import { until } from '../test/support/until.ts'

const megabyte = 2 ** 20
/** Pictures that are sent at the same time. */
const waveSize = 500

/** Room for everything that is tried here, so that what is measured is the cost and not a limit. */
const roomy = {
  MAX_QUEUE_DEPTH: '100000',
  MAX_IN_FLIGHT: '20000',
  MAX_IN_FLIGHT_BYTES: String(4_096 * megabyte),
  MAX_IMAGE_BYTES: String(16 * megabyte),
  REQUEST_TIMEOUT_MS: '300000'
}

/** Do throughput and memory keep pace as the queue, the pictures and the clients grow? The engine answers at once. */
export async function measureCostOfGrowth(conditions: Conditions): Promise<Section[]> {
  return [await byDepth(conditions), await byBytes(conditions), await byClients(conditions)]
}

/** The worker is stopped until that many pictures wait; then it is timed how fast they go. */
async function byDepth({ uploads, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  for (const depth of [10, 100, 1_000, 10_000]) {
    progress.step(`${depth} pictures in the queue`)
    const system = await startSystem({ workerArgs: simulatedWorker, env: roomy })
    await closedLoop({ url: system.url, uploads, clients: 8, durationMs: 500 })
    const emptyBytes = (await system.redisBytes()).held
    process.kill(system.pids['worker-1'] ?? 0, 'SIGSTOP')
    const waves: Array<Promise<LoadResult>> = []
    // All at once they would be longer in coming than a stopped worker is counted on.
    for (let sent = 0; sent < depth; sent += waveSize) {
      waves.push(burst({ url: system.url, uploads, count: Math.min(waveSize, depth - sent) }))
      await until(
        `${sent + waveSize} wait`,
        async () => (await system.queueDepth()) >= Math.min(depth, sent + waveSize),
        60_000
      )
    }
    const fullBytes = (await system.redisBytes()).held
    const since = performance.now()
    process.kill(system.pids['worker-1'] ?? 0, 'SIGCONT')
    const samples = (await Promise.all(waves)).flatMap(wave => wave.samples)
    const { errors, ok } = figuresOf({ samples, window: { fromMs: 0, toMs: Infinity } })
    rows.push({
      depth: String(depth),
      'images/s while it empties': (ok * 1_000) / (performance.now() - since),
      'Redis KB each': (fullBytes - emptyBytes) / depth / 1_024,
      'upload KB': (uploads[0]?.body.length ?? 0) / 1_024,
      errors: Object.values(errors).reduce((a, b) => a + b, 0)
    })
    await system.stop()
  }
  return { title: 'By queue depth', rows, findings: [] }
}

/** A picture is filled up behind its end; nobody decodes it here. */
async function byBytes({ plan: { forMs }, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  const [photo = Buffer.alloc(0)] = await photoLike({ count: 1, width: 250, height: 187 })
  for (const kilobytes of [20, 100, 500, 2_048, 10_000]) {
    progress.step(`pictures of ${kilobytes} KB`)
    const system = await startSystem({ workerArgs: simulatedWorker, env: roomy })
    const picture = Buffer.concat([photo, Buffer.alloc(kilobytes * 1_024 - photo.length, 0x5a)])
    const load = { url: system.url, uploads: [asForm(picture)], clients: 16 }
    await closedLoop({ ...load, durationMs: forMs / 4 })
    const figures = await observe(system, () => closedLoop({ ...load, durationMs: forMs }))
    await system.stop()
    rows.push({
      'picture KB': String(kilobytes),
      'images/s': figures.imagesPerSecond,
      'MB/s': (figures.imagesPerSecond * kilobytes) / 1_024,
      p50: figures.p50Ms,
      p99: figures.p99Ms,
      errors: Object.values(figures.errors).reduce((a, b) => a + b, 0),
      ...cpuColumns(figures.cpuMsPerImage)
    })
  }
  return { title: 'By size of the picture, 16 clients', rows, findings: [] }
}

async function byClients({ uploads, plan: { forMs }, progress }: Conditions): Promise<Section> {
  const rows: Section['rows'] = []
  const system = await startSystem({ workerArgs: simulatedWorker, env: roomy })
  await closedLoop({ url: system.url, uploads, clients: 16, durationMs: forMs / 4 })
  for (const clients of [1, 10, 100, 1_000]) {
    progress.step(`${clients} clients`)
    const figures = await observe(system, () => closedLoop({ url: system.url, uploads, clients, durationMs: forMs }))
    rows.push({
      clients: String(clients),
      'images/s': figures.imagesPerSecond,
      p50: figures.p50Ms,
      p99: figures.p99Ms,
      errors: Object.values(figures.errors).reduce((a, b) => a + b, 0),
      ...cpuColumns(figures.cpuMsPerImage),
      'gateway MB': figures.peakRssMb['gateway'] ?? NaN
    })
  }
  await system.stop()
  return { title: 'By clients', rows, findings: [] }
}
