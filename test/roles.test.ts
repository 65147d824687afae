import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { generate } from 'selfsigned'
import { createConnection } from '@streamsight/protocol'
import { root } from '../scripts/bootstrap.js'
import { freePort, startRedis } from '../scripts/redis.js'
import { driveCount, assertHonest, assertQuiet } from './faults/oracle.ts'
import { temporaryFolder } from './support/folder.ts'
import { silentLog } from './support/log.ts'
import { fixture, startSystem } from './support/system.ts'

/** The shipped ACL files with passwords put in, for a prefix, as one file. */
function aclFile(t: TestContext, prefix: string): string {
  const path = join(temporaryFolder(t), 'users.acl')
  const roles = ['gateway', 'worker'].map(role =>
    readFileSync(join(root, `deploy/redis/${role}.acl`), 'utf8')
      .replace('REPLACE_WITH_SHA256_OF_PASSWORD', createHash('sha256').update(`${role}-password`).digest('hex'))
      .replaceAll('ss:', `${prefix}:`)
  )
  // The oracle looks at everything, as an administrator may.
  writeFileSync(path, ['user default on nopass ~* &* +@all', ...roles].join('\n'))
  return path
}

test('the whole system runs under the shipped Redis roles, also when a job is redelivered', async t => {
  const prefix = 'roles'
  const redis = await startRedis({ args: ['--aclfile', aclFile(t, prefix)] })
  const as = (role: string) => ({ REDIS_URL: `redis://${role}:${role}-password@127.0.0.1:${redis.port}` })
  const system = await startSystem(t, {
    redis,
    env: { ADMIN_TOKEN: 'operator' },
    gatewayEnv: as('gateway'),
    workerEnv: as('worker'),
    restart: true,
    prefix
  })
  const admin = createConnection({ url: redis.url, name: 'test', log: silentLog })
  await admin.connect()
  t.after(() => admin.destroy())
  await admin.sendCommand(['ACL', 'LOG', 'RESET'])

  const load = driveCount(system, { count: 100, concurrency: 16 })
  await system.workers[0]?.untilLog('work has begun', ({ event }) => event === 'job')
  system.workers[0]?.signal('SIGKILL')
  assertHonest(await load)
  const letters = await fetch(`${system.url}/admin/dead-letters`, { headers: { authorization: 'Bearer operator' } })
  assert.deepEqual(await letters.json(), { deadLetters: [] })
  await assertQuiet(system)
  assert.equal(await system.workers[0]?.stop(), 0)
  assert.deepEqual(await admin.sendCommand(['ACL', 'LOG']), [], 'nobody was refused anything')
})

test('a role can do no more than its work', async t => {
  const redis = await startRedis({ args: ['--aclfile', aclFile(t, 'ss')] })
  t.after(() => redis.stop())
  const forbidden: Record<string, string[][]> = {
    gateway: [
      ['PUBLISH', 'ss:res:x', 'forged'],
      ['XREADGROUP', 'GROUP', 'workers', 'thief', 'STREAMS', '{ss:everyday}:jobs', '>'],
      ['FLUSHALL'],
      ['KEYS', '*'],
      ['EVAL', 'return 1', '0'],
      ['GET', 'another:key'],
      ['SET', '{ss:everyday}:about:x', 'forged'],
      ['CONFIG', 'GET', '*']
    ],
    worker: [
      ['SUBSCRIBE', 'ss:res:x'],
      ['GET', '{ss:everyday}:res:x'],
      ['GET', '{ss:everyday}:about:x'],
      ['FLUSHALL'],
      ['EVAL', 'return 1', '0'],
      ['XGROUP', 'DESTROY', '{ss:everyday}:jobs', 'workers'],
      ['PUBLISH', 'another:channel', 'x'],
      ['SET', '{ss:everyday}:job:x', '1']
    ]
  }
  for (const [role, commands] of Object.entries(forbidden)) {
    const connection = createConnection({
      url: `redis://${role}:${role}-password@127.0.0.1:${redis.port}`,
      name: role,
      log: silentLog
    })
    await connection.connect()
    t.after(() => connection.destroy())
    for (const command of commands)
      await assert.rejects(connection.sendCommand(command), /NOPERM/, `${role}: ${command.join(' ')}`)
  }
})

test('rediss:// with a certificate authority of one’s own', async t => {
  const dir = temporaryFolder(t)
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' }
        ]
      }
    ]
  })
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  writeFileSync(certFile, cert)
  writeFileSync(keyFile, key)
  const tlsPort = await freePort()
  const redis = await startRedis({
    args: [
      '--tls-port',
      String(tlsPort),
      '--tls-cert-file',
      certFile,
      '--tls-key-file',
      keyFile,
      '--tls-ca-cert-file',
      certFile,
      '--tls-auth-clients',
      'no'
    ]
  })
  const system = await startSystem(t, {
    redis,
    env: { REDIS_URL: `rediss://localhost:${tlsPort}`, NODE_EXTRA_CA_CERTS: certFile }
  })
  const { status, body } = await system.predict(fixture('ship.jpg'))
  assert.equal(status, 200)
  assert.equal(body.predictions?.[0]?.label, 'ship')
})

test('a unix socket', async t => {
  const path = join(temporaryFolder(t), 'redis.sock')
  const redis = await startRedis({ args: ['--unixsocket', path] })
  const system = await startSystem(t, { redis, env: { REDIS_URL: `unix://${path}` } })
  assert.equal((await system.predict(fixture('ship.jpg'))).status, 200)
})
