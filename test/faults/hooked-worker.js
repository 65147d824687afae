/**
 * A worker with faults built in: the real one, started through its own `startWorker`, with hooks around its decoder, engine
 * and consumer. Only this file knows them; the worker that `npm start` runs has no such switch. In JavaScript, because
 * it is started often: tsx would double what a start costs.
 */
import closeWithGrace from 'close-with-grace'
import { once } from 'node:events'
import { existsSync, unlinkSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { configSchema } from '../../apps/worker/dist/config.js'
import { startWorker } from '../../apps/worker/dist/worker.js'
import { createLogger, loadConfig } from '@streamsight/service'
import { hangMark, poisonMark } from './marks.js'

const {
  CRASH_POINT: crashPoint,
  CRASH_ONCE_FILE: crashFile,
  CLOCK_SKEW_MS: skewMs = '0',
  SLOW_MS: slowMs = '0'
} = process.env

/**
 * Dies here if this is the point the test chose, once for each file it made.
 * @param {string} point
 */
function crashAt(point) {
  if (crashPoint !== point || crashFile === undefined || !existsSync(crashFile)) return
  unlinkSync(crashFile)
  process.kill(process.pid, 'SIGKILL')
}

/** As a library does that hangs in native code: a thread of this process never comes back from a call. */
async function hang() {
  const call = `require('child_process').spawnSync('tail', ['-f', '/dev/null', '--pid=${process.pid}'])`
  await once(new Worker(call, { eval: true }), 'exit')
}

const realNow = Date.now
Date.now = () => realNow() + Number(skewMs)

let serving = false
const log = createLogger({ name: 'worker', level: 'info', pretty: false })
const worker = await startWorker({
  config: loadConfig(configSchema, process.env),
  log,
  pid: process.pid,
  wrap: {
    decoder: decoder => ({
      ...decoder,
      async decode(image, type) {
        crashAt('before-decode')
        if (image.includes(poisonMark)) process.kill(process.pid, 'SIGKILL')
        if (image.includes(hangMark)) await hang()
        return await decoder.decode(image, type)
      }
    }),
    inference: inference => ({
      ...inference,
      async infer(input, batchSize) {
        const scores = await inference.infer(input, batchSize)
        if (serving) await new Promise(resolve => setTimeout(resolve, Number(slowMs) * batchSize))
        crashAt('after-infer')
        return scores
      }
    }),
    consumer: consumer => ({
      ...consumer,
      async finish(...args) {
        const first = await consumer.finish(...args)
        crashAt('after-finish')
        return first
      }
    })
  }
})

serving = true

closeWithGrace({ delay: 30_000, logger: false }, async () => {
  await worker.stop()
  log.info({ event: 'stop' }, 'Stopped')
})
