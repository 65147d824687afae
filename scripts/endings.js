/** Every way in which somebody may want `npm start` to end. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** How often we look whether npm is still there. */
const lookMs = 500

/** npm runs a script through one of these. */
const shells = ['sh', 'bash', 'dash', 'zsh', 'ash', 'busybox']

/**
 * Calls `end` when the system should stop: at once where somebody asked for it, and `abrupt` where nobody is there
 * any more, because the terminal was closed, npm was killed, or whoever read our output is gone.
 * @param {(abrupt: boolean) => void} end may be called several times
 */
export function watchForEnd(end) {
  process.on('SIGINT', () => end(false))
  process.on('SIGTERM', () => end(false))
  process.on('SIGHUP', () => end(true))
  // Without a listener an error on one of these would end us at once, and leave what we started behind.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => end(true))
  if (process.env['npm_lifecycle_event'] !== undefined) watchNpm(() => end(true))
}

/**
 * npm passes signals on to the shell in which it runs a script, and dash does not pass them on to us. A killed npm
 * passes on nothing.
 * @param {() => void} gone
 */
function watchNpm(gone) {
  const parent = process.ppid
  const shell = processOf(parent)
  const npm = shell !== undefined && shells.includes(shell.name) ? shell.parent : parent
  const timer = setInterval(() => {
    if (process.ppid === parent && isAlive(npm)) return
    clearInterval(timer)
    gone()
  }, lookMs)
  timer.unref()
}

/** @param {number} pid */
function isAlive(pid) {
  // One that has ended and that nobody has asked about yet can still be signalled.
  if (processOf(pid)?.state === 'Z') return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}

/**
 * Undefined where the process is gone, or there is neither /proc nor ps: then only our own parent is watched.
 * @param {number} pid
 */
function processOf(pid) {
  try {
    const [, name = '', state = '', parent] =
      process.platform === 'linux'
        ? (/\((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [])
        : (/^\s*(\S.*?)\s+(\S)\S*\s+(\d+)\s*$/.exec(
            execFileSync('ps', ['-o', 'comm=', '-o', 'state=', '-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' })
          ) ?? [])
    return { name: basename(name).replace(/^-/, ''), state, parent: Number(parent) }
  } catch {
    return undefined
  }
}
