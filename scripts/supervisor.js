/** Keeps a set of processes alive: starts them again, with growing pauses, when they end by themselves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { say } from './bootstrap.js'

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
 * by hundreds of megabytes over 20,000 odd pictures, and by a tenth of that with two arenas. It can only be set from outside.
 */
export const memoryEnv = { MALLOC_ARENA_MAX: '2' }

/**
 * @typedef {{ name: string, command: string, args: string[], env?: Record<string, string | undefined>, cwd: string, quiet?: boolean }} Program
 *   `quiet`: what it prints is shown only if it ends unasked
 * @param {(program: Program, how: string) => void} onFirstDeath called instead of a restart when a process ends before `settled`; `how`: its signal or exit code
 */
export function createSupervisor(onFirstDeath) {
  /** @type {Map<string, import('node:child_process').ChildProcess>} */
  const children = new Map()
  let settled = false
  let stopping = false

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
      stdio: ['ignore', program.quiet ? 'pipe' : 'inherit', 'inherit'],
      detached: true
    })
    let said = ''
    child.stdout?.on('data', chunk => {
      said = `${said}${chunk}`.slice(-4_096)
    })
    children.set(program.name, child)
    child.once('error', error => say(`${program.name}: ${error.message}`))
    child.once('close', async (code, signal) => {
      if (stopping) return
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
   * Ends the processes in the given order, each group at once, and those that don't listen by force.
   * @param {string[][]} groups names; `*` at the end matches any ending
   * @param {number} patienceMs
   */
  async function stop(groups, patienceMs) {
    stopping = true
    for (const names of groups) {
      const group = [...children]
        .filter(([name]) => names.some(pattern => matches(pattern, name)))
        .map(([, child]) => child)
      await Promise.all(group.map(child => end(child, patienceMs)))
    }
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
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  await ended
  clearTimeout(force)
}
