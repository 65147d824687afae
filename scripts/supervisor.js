/** Keeps a set of processes alive: starts them again, with growing pauses, when they end by themselves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { root, say } from './bootstrap.js'

/** A process that lives this long is taken for healthy: its next pause is short again. */
const healthyMs = 10_000
const firstPauseMs = 100
const longestPauseMs = 2_000

/**
 * Node's arguments for gateway and workers, whose garbage is pictures: large, outside V8's heap, and dead after some milliseconds.
 * V8 makes room for 1 MB of young objects and grows it slowly; every picture's passing objects then count as old ones, and collecting
 * these took a third of a worker's time. With an engine that answers at once 1,850 pictures a second went through instead of 1,450.
 * When to collect old objects it decides by the heap, which is small here, and by the pictures outside it: a worker did so ten times a
 * second. With the factor that is elsewhere V8's largest, four times what is alive, it needs 0.15 instead of 0.28 ms a picture, and no
 * more memory.
 */
export const nodeArgs = ['--min-semi-space-size=16', '--max-semi-space-size=32', '--heap-growing-percent=300']

/**
 * For every process that decodes pictures. glibc gives each thread an arena of its own and keeps what was freed in it: a worker grew
 * by hundreds of megabytes over 20,000 odd pictures, and by a tenth of that with two arenas. It also learns to take buffers of up to
 * 32 MB from arenas, and gives back none of them: 400 MB after pictures of 49 megapixels, 170 where each of over 1 MB is returned at
 * once, at no cost that shows (2026-11-26). Both can only be set from outside.
 */
export const memoryEnv = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: String(2 ** 20) }

/**
 * @typedef {{ name: string, command: string, args: string[], env?: Record<string, string | undefined>, cwd: string,
 *   quiet?: boolean }} Program
 *   `quiet`: what it prints is shown only if it ends unasked
 * @typedef {object} Options
 * @property {string[][]} order groups of names in the order in which they are ended; `*` at the end matches any ending
 * @property {(program: Program, how: string) => void} onFirstDeath called instead of a restart when a process ends
 *   before `settle`; `how`: its signal or exit code
 * @property {((output: import('node:stream').Readable) => Promise<void>) | undefined} forward where what they print
 *   is passed on; else they inherit our output
 */

/** @param {Options} options */
export function createSupervisor({ order, onFirstDeath, forward }) {
  /** @type {Map<string, import('node:child_process').ChildProcess>} */
  const children = new Map()
  let settled = false
  let stopping = false
  let guardian = startGuardian()

  return {
    start,
    stop,
    settle: () => {
      settled = true
    }
  }

  /** @param {Program} program */
  function start(program, pauseMs = firstPauseMs) {
    const startedMs = performance.now()
    // A process group of its own: Ctrl-C reaches only us, and we stop things in order.
    const child = spawn(program.command, program.args, {
      cwd: program.cwd,
      env: { ...memoryEnv, ...process.env, ...program.env },
      stdio: ['ignore', program.quiet || forward ? 'pipe' : 'inherit', 'inherit'],
      detached: true
    })
    let said = ''
    if (program.quiet) {
      child.stdout?.on('data', chunk => {
        said = `${said}${chunk}`.slice(-4_096)
      })
    } else if (child.stdout) void forward?.(child.stdout)
    children.set(program.name, child)
    tellGuardian()
    child.once('error', error => say(`${program.name}: ${error.message}`))
    child.once('close', async (code, signal) => {
      if (stopping) return
      tellGuardian()
      if (said !== '') say(`${program.name} said:\n${said.trim()}`)
      const how = signal ?? `code ${code}`
      if (!settled) return onFirstDeath(program, how)
      const nextMs = performance.now() - startedMs > healthyMs ? firstPauseMs : pauseMs
      say(`${program.name} ended (${how}), starting it again in ${nextMs} ms`)
      await sleep(nextMs)
      if (!stopping) start(program, Math.min(2 * nextMs, longestPauseMs))
    })
  }

  /**
   * Ends the processes in their order, each group at once, and those that don't listen by force.
   * @param {number} patienceMs for each group
   */
  async function stop(patienceMs) {
    stopping = true
    for (const group of groups()) await Promise.all(group.map(child => end(child, patienceMs)))
    tellGuardian()
    guardian.stdin?.end()
  }

  /** The processes that run, in the order in which they are ended. */
  function groups() {
    return order.map(names =>
      [...children]
        .filter(([name, child]) => names.some(pattern => matches(pattern, name)) && isRunning(child))
        .map(([, child]) => child)
    )
  }

  /** Whatever ends us, even by force, closes its input, and then it ends what it was told of. */
  function startGuardian() {
    const child = spawn('sh', [join(root, 'scripts', 'guardian.sh')], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true
    })
    child.stdin.on('error', () => {})
    child.once('error', error =>
      say(`no guardian, so what runs would survive a kill -9 of this process: ${error.message}`)
    )
    child.once('exit', () => {
      if (stopping) return
      guardian = startGuardian()
      tellGuardian()
    })
    return child
  }

  function tellGuardian() {
    const pids = groups().map(group => group.map(({ pid }) => pid).join(' '))
    guardian.stdin?.write(`${pids.join('|')}\n`)
  }
}

/**
 * @param {string} pattern
 * @param {string} name
 */
function matches(pattern, name) {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {number} patienceMs
 */
async function end(child, patienceMs) {
  if (!isRunning(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  await ended
  clearTimeout(force)
}

/** @param {import('node:child_process').ChildProcess} child */
function isRunning({ pid, exitCode, signalCode }) {
  return pid !== undefined && exitCode === null && signalCode === null
}
