/** `npm start` as people run it, and every process that it brings up. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { freePort } from '../../scripts/redis.js'
import { until } from './until.ts'

export interface Started {
  child: ChildProcess
  port: number
  /** Both outputs as they came. */
  output: () => string
  /** Standard output alone. */
  log: () => string
}

interface Row {
  pid: number
  parent: number
  command: string
}

/** Runs `command`, or the script of `npm start` without npm around it, with a port of its own. */
export async function start(
  t: TestContext,
  env: Record<string, string> = {},
  [program, ...args]: [string, ...string[]] = [process.execPath, 'scripts/start.js']
): Promise<Started> {
  const port = Number(env['PORT'] ?? (await freePort()))
  const child = spawn(program, args, {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  let log = ''
  child.stdout.on('data', chunk => {
    output += chunk
    log += chunk
  })
  child.stderr.on('data', chunk => {
    output += chunk
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  return { child, port, output: () => output, log: () => log }
}

export function untilReady({ output }: Started): Promise<unknown> {
  return until('npm start is ready', () => output().includes('Try:') || undefined, 60_000)
}

/** Everything that descends from this process, itself included. */
export function descendantsOf(pid: number): Row[] {
  const all = processes()
  const found = all.filter(row => row.pid === pid)
  for (const { pid: parent } of found) found.push(...all.filter(row => row.parent === parent))
  return found
}

/** Of `rows` those that run. One that has ended and that nobody has asked about yet does not. */
export function stillRunning<Known extends Pick<Row, 'pid'>>(rows: Known[]): Known[] {
  const running = processes()
  return rows.filter(({ pid }) => running.some(row => row.pid === pid))
}

function processes(): Row[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,state=,args='], { encoding: 'utf8' }).split('\n')
  return lines.flatMap(line => {
    const [, pid, parent, state, command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
    return pid === undefined || state?.startsWith('Z') ? [] : [{ pid: Number(pid), parent: Number(parent), command }]
  })
}
