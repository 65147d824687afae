/** `npm start`: from a bare clone to a system that answers. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootstrapError, assertNode, build, endQuietly, installPackages, root, run, say } from './bootstrap.js'
import { watchForEnd } from './endings.js'
import { createForwarder, isPiped } from './forward.js'
import { ensureRedis, freePort, redisArgs } from './redis.js'
import { createSupervisor, nodeArgs } from './supervisor.js'

/** Loading and warming a large model may take this long. */
const readyTimeoutMs = 180_000

/**
 * Each of gateway, workers and Redis gets this long where nobody is there any more who could wait for open requests.
 */
const abruptPatienceMs = 2_500

async function main() {
  assertNode()
  let stopping = false
  const forwarder = isPiped() ? createForwarder(() => stop({ code: 0, abrupt: true })) : undefined
  const supervisor = createSupervisor({
    // The gateway first, so that what it has accepted is still answered.
    order: [['gateway'], ['worker-*'], ['redis']],
    onFirstDeath(program, how) {
      say(`${program.name} ended (${how}) before the system was ready`)
      void stop({ code: 1 })
    },
    forward: forwarder?.forward
  })
  watchForEnd(abrupt => stop({ code: 0, abrupt }))

  const envFile = join(root, '.env')
  if (existsSync(envFile)) process.loadEnvFile(envFile)
  const port = number('PORT', 5_000)
  const workers = number('WORKERS', 1)
  await assertFree(port)
  await installPackages()
  const redis = process.env['REDIS_URL'] ? undefined : await ensureRedis()
  await build()

  const env = {
    ...(redis ? { REDIS_URL: await startRedis(redis) } : {}),
    PORT: String(port),
    // No balancer stands before a single gateway that would have to find out first.
    SHUTDOWN_DELAY_MS: String(number('SHUTDOWN_DELAY_MS', 0))
  }
  supervisor.start({
    name: 'gateway',
    command: process.execPath,
    args: [...nodeArgs, 'apps/gateway/dist/main.js'],
    env,
    cwd: root
  })
  // The workers share this machine's cores: more threads than cores would only take turns.
  const threads = Math.max(1, Math.floor(availableParallelism() / workers))
  for (let slot = 1; slot <= workers; slot++) {
    supervisor.start({
      name: `worker-${slot}`,
      command: process.execPath,
      args: [...nodeArgs, 'apps/worker/dist/main.js'],
      env: { ...env, WORKER_SLOT: String(slot), ENGINE_THREADS: String(number('ENGINE_THREADS', 0) || threads) },
      cwd: root
    })
  }
  await untilReady()
  supervisor.settle()
  const example = `curl -X POST http://localhost:${port}/predict -F 'image=@test/fixtures/airplane.png'`
  say(`ready with ${workers} worker${workers === 1 ? '' : 's'}. Try:\n\n  ${example}\n`)

  /** @param {string} program */
  async function startRedis(program) {
    const redisPort = await freePort()
    say(`starting ${program} on port ${redisPort} (in memory only; set REDIS_URL to use your own)`)
    supervisor.start({
      name: 'redis',
      command: program,
      args: redisArgs({ port: redisPort, maxMemoryMb: number('REDIS_MAX_MEMORY_MB', 1_024) }),
      cwd: root,
      quiet: true
    })
    return `redis://127.0.0.1:${redisPort}`
  }

  async function untilReady() {
    say('waiting for the model to load and warm up …')
    const deadline = performance.now() + readyTimeoutMs
    for (;;) {
      if (stopping) return await new Promise(() => {})
      const response = await fetch(`http://127.0.0.1:${port}/health/startup`).catch(() => undefined)
      if (response?.status === 200) return
      if (performance.now() > deadline) {
        const reasons = /** @type {{ reasons?: string[] } | undefined} */ (
          await response?.json().catch(() => undefined)
        )?.reasons ?? ['the gateway does not answer']
        throw new BootstrapError(`not ready after ${readyTimeoutMs / 1_000} s: ${reasons.join(', ')}`)
      }
      await sleep(200)
    }
  }

  /** @param {{ code: number, abrupt?: boolean }} how */
  async function stop({ code, abrupt = false }) {
    if (stopping) return
    stopping = true
    say('stopping …')
    endQuietly()
    await supervisor.stop(abrupt ? abruptPatienceMs : number('REQUEST_TIMEOUT_MS', 30_000) + 10_000)
    if (forwarder?.isWriting()) process.kill(process.pid, 'SIGKILL')
    process.exit(code)
  }
}

/**
 * @param {string} name
 * @param {number} fallback
 */
function number(name, fallback) {
  const text = process.env[name]
  if (text === undefined || text === '') return fallback
  if (!/^\d+$/.test(text)) throw new BootstrapError(`${name}="${text}" is not a whole number`)
  return Number(text)
}

/** @param {number} port */
async function assertFree(port) {
  const server = createServer()
  server.listen(port)
  try {
    await once(server, 'listening')
  } catch {
    throw new BootstrapError(`port ${port} is in use: stop what listens there, or set PORT`)
  }
  server.close()
  await once(server, 'close')
}

await run(main)
