/** Finds, installs and starts a Redis of our own. Used by `npm start` and by the tests. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { BootstrapError, runQuietly, say } from './bootstrap.js'

const servers = ['redis-server', 'valkey-server']

/** The server's program, installed first where that can be done unasked. */
export async function ensureRedis() {
  return findRedis() ?? (await installRedis())
}

export function findRedis() {
  return servers.find(isOnPath)
}

async function installRedis() {
  if (process.platform === 'darwin' && isOnPath('brew')) {
    say('installing redis with brew …')
    await runQuietly('brew', ['install', 'redis'])
  } else if (isOnPath('apt-get') && (isRoot() || canSudo())) {
    const sudo = isRoot() ? [] : ['sudo', '-n']
    say('installing redis-server with apt …')
    await runAll(
      [...sudo, 'apt-get', 'update', '-qq'],
      [
        ...sudo,
        'env',
        'DEBIAN_FRONTEND=noninteractive',
        'apt-get',
        'install',
        '-y',
        '-qq',
        '--no-install-recommends',
        'redis-server'
      ]
    )
  }
  const found = findRedis()
  if (found === undefined)
    throw new BootstrapError(
      'no Redis found: install redis-server or valkey-server (7.0 or newer) with your package manager, or set REDIS_URL'
    )
  return found
}

/** @param {string[][]} commands */
async function runAll(...commands) {
  for (const [command = '', ...args] of commands) await runQuietly(command, args)
}

/** @param {string} program */
function isOnPath(program) {
  return spawnSync('which', [program], { stdio: 'ignore' }).status === 0
}

function isRoot() {
  return process.getuid?.() === 0
}

function canSudo() {
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return address.port
}

/**
 * The command line of a private Redis: loopback only, nothing written to disk, and refusing instead of evicting when full,
 * because an evicted job would be a lost request.
 * @param {{ port: number, maxMemoryMb?: number }} options
 */
export function redisArgs({ port, maxMemoryMb = 1_024 }) {
  return [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--maxmemory',
    `${maxMemoryMb}mb`,
    '--maxmemory-policy',
    'noeviction',
    '--loglevel',
    'warning'
  ]
}

/**
 * Starts a private Redis for a test and waits until it listens.
 * @param {{ port?: number, args?: string[] }} [options] `args` come last and win
 */
export async function startRedis({ port, args = [] } = {}) {
  const chosen = port ?? (await freePort())
  const child = spawn(await ensureRedis(), [...redisArgs({ port: chosen }), '--loglevel', 'notice', ...args], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let output = ''
  await new Promise((resolve, reject) => {
    child.stdout.on('data', chunk => {
      output += chunk
      if (/ready to accept connections/i.test(output)) resolve(undefined)
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`redis-server ended at once:\n${output}`)))
  })
  return {
    port: chosen,
    url: `redis://127.0.0.1:${chosen}`,
    pid: child.pid ?? 0,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}
