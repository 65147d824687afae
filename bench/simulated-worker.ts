/**
 * A worker whose engine only waits: the real one, started through its own `startWorker`, with the decoder and the engine
 * replaced. A batch of n takes SIMULATED_A_MS + SIMULATED_B_MS · n. With it a laptop shows what gateway, Redis and the rest of a
 * worker can carry, and how a fleet of GPUs would share the work.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { createLogger, loadConfig } from '@streamsight/service'
import { configSchema } from '../apps/worker/dist/config.js'
import { startWorker } from '../apps/worker/dist/worker.js'

const aMs = Number(process.env['SIMULATED_A_MS'] ?? 0)
const bMs = Number(process.env['SIMULATED_B_MS'] ?? 0)
/** Of the model everyday, whose manifest this worker serves under. */
const [classes, pixelBytes] = [10, 32 * 32 * 3]
const scores = Float32Array.from({ length: classes }, (_, i) => (i === 0 ? 1 : 0))

/** Nobody reads what is written into it. */
let room = new Float32Array(0)

const log = createLogger({ name: 'worker', level: 'info', pretty: false })
const worker = await startWorker({
  config: loadConfig(configSchema, process.env),
  log,
  pid: process.pid,
  wrap: {
    decoder: decoder => ({ ...decoder, name: 'simulated', decode: async () => new Uint8Array(pixelBytes) }),
    inference: inference => ({
      ...inference,
      allocate(floats) {
        if (room.length < floats) room = new Float32Array(floats)
        return room.subarray(0, floats)
      },
      async infer(_input, batchSize) {
        if (aMs + bMs > 0) await sleep(aMs + bMs * batchSize)
        const batch = new Float32Array(batchSize * classes)
        for (let image = 0; image < batchSize; image++) batch.set(scores, image * classes)
        return batch
      }
    })
  }
})

closeWithGrace({ delay: 30_000, logger: false }, () => worker.stop())
