import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseEnv } from 'node:util'
import { commonSettings, loadConfig } from '@streamsight/service'
import { configSchema as gatewaySchema } from '../apps/gateway/dist/config.js'
import { configSchema as workerSchema } from '../apps/worker/dist/config.js'
import { root } from '../scripts/bootstrap.js'
import { until } from './support/until.ts'

interface Setting {
  description: string
  default: string
}

const apps = { gateway: gatewaySchema, worker: workerSchema }
const example = readFileSync(join(root, '.env.example'), 'utf8')

/** What `npm start` reads besides the settings of the apps, and REDIS_URL, which means something else to it. */
const ofStart: Record<string, Setting> = {
  WORKERS: { description: 'Workers that npm start starts', default: '1' },
  REDIS_URL: {
    description:
      'redis://, rediss:// (TLS) or unix:// address of Redis or Valkey; npm start starts its own where this is empty',
    default: ''
  },
  REDIS_MAX_MEMORY_MB: { description: 'Megabytes that the Redis of npm start may fill', default: '1024' }
}

test('a setting of both apps is declared once, in commonSettings', () => {
  const ofBoth = Object.keys(settingsOf(gatewaySchema)).filter(name => name in settingsOf(workerSchema))
  assert.deepEqual(ofBoth, Object.keys(commonSettings))
})

test('.env.example has every setting with description and default, and nothing else', () => {
  const expected = { ...settingsOf(gatewaySchema), ...settingsOf(workerSchema), ...ofStart }
  assert.deepEqual(listed(), expected)
})

test('.env.example taken as it is changes nothing', () => {
  for (const schema of Object.values(apps))
    assert.deepEqual(loadConfig(schema, parseEnv(example)), loadConfig(schema, {}))
})

for (const app of Object.keys(apps)) {
  test(`a bad value ends the ${app} with one line that says what is wrong`, async () => {
    const { code, stdout, stderr } = await run(app, { LOG_LEVEL: 'loud' })
    assert.equal(code, 1)
    assert.match(stderr, /^LOG_LEVEL="loud" is not valid: must be one of fatal, error, [^\n]*\n$/)
    assert.equal(stdout, '')
  })
}

test('a bad port ends the gateway with one line that says what is wrong', async () => {
  const { code, stdout, stderr } = await run('gateway', { PORT: 'abc' })
  assert.equal(code, 1)
  assert.match(stderr, /^PORT="abc" is not valid: must be integer\. [^\n]*\(default: 5000\)\n$/)
  assert.equal(stdout, '')
})

test('a port that is taken ends the gateway with one line that says which', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { code, stderr } = await run('gateway', { PORT: String(port), HOST: '127.0.0.1', LOG_LEVEL: 'silent' })
  assert.equal(code, 1)
  assert.equal(stderr, `gateway: port ${port} is in use: stop what listens there, or set PORT\n`)
})

test('no secret is in what a process says of its settings', async () => {
  const secrets = { REDIS_URL: 'redis://user:hunter2@127.0.0.1:1', API_KEYS: 'hunter2', ADMIN_TOKEN: 'hunter2' }
  const gateway = spawnApp('gateway', {
    ...secrets,
    PORT: '0',
    HOST: '127.0.0.1',
    SHUTDOWN_DELAY_MS: '0',
    LOG_LEVEL: 'trace'
  })
  await until(
    'it listens, and looks for Redis',
    () => /"event":"ready"/.test(gateway.said()) && /"event":"redis-away"/.test(gateway.said())
  )
  gateway.kill('SIGTERM')
  const { code, stdout, stderr } = await gateway.ended
  assert.equal(code, 0)
  assert.doesNotMatch(stdout + stderr, /hunter2/)
})

/** What a schema says of its settings, as text. */
function settingsOf({ properties }: { properties: object }): Record<string, Setting> {
  const settings = Object.entries(
    properties as Record<string, { description: string; default: unknown; enum?: string[] }>
  )
  return Object.fromEntries(
    settings.map(([name, { description, default: value, enum: allowed }]) => [
      name,
      { description: allowed ? `${description}: ${allowed.join(', ')}` : description, default: String(value) }
    ])
  )
}

/** What .env.example says: a comment of one line, then the setting. Headings are comments with an empty line behind them. */
function listed(): Record<string, Setting> {
  const settings: Record<string, Setting> = {}
  const lines = example.split('\n')
  for (const [i, line] of lines.entries()) {
    const [, name, value = ''] = /^([^#=]+)=(.*)$/.exec(line) ?? []
    if (name === undefined) {
      assert.match(line, /^(# \S.*)?$/, 'neither comment nor setting')
      continue
    }
    assert.ok(!(name in settings), `${name} is there twice`)
    settings[name] = { description: lines[i - 1]?.replace(/^# /, '') ?? '', default: value }
  }
  return settings
}

async function run(
  app: string,
  env: Record<string, string>
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return await spawnApp(app, env).ended
}

/** The real process with nothing in its environment but what is given. `ended` settles when it has ended by itself. */
function spawnApp(app: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [`apps/${app}/dist/main.js`], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => {
    stdout += String(chunk)
  })
  child.stderr.on('data', chunk => {
    stderr += String(chunk)
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { said: () => stdout, kill: (signal: NodeJS.Signals) => child.kill(signal), ended }
}
