import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { generate } from 'selfsigned'
import { root } from '../scripts/bootstrap.js'
import { freePort, startRedis } from '../scripts/redis.js'
import { driveCount, assertHonest, assertQuiet } from './faults/oracle.ts'
import { temporaryFolder } from './support/folder.ts'
import { openRedis } from './support/redis.ts'
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
  const admin = await openRedis(t, redis.url)
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
  const [jobs, workers, dead] = ['jobs', 'workers', 'dead'].map(name => `{ss:everyday}:${name}`) as [
    string,
    string,
    string
  ]
  // B15: whatever makes a stream something else, or nothing.
  const destructive = (key: string) => [
    ['SET', key, '1'],
    ['DEL', key],
    ['HSET', key, 'entry', '1'],
    ['PEXPIRE', key, '1'],
    ['RENAME', key, `${key}2`],
    ['GETDEL', key]
  ]
  const never = [
    ...destructive(jobs),
    ...destructive(dead),
    ['DEL', workers],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['EVAL', 'return 1', '0'],
    ['GET', 'another:key'],
    ['CONFIG', 'GET', '*'],
    ['XGROUP', 'DESTROY', jobs, 'workers']
  ]
  const forbidden: Record<string, string[][]> = {
    gateway: [
      ...never,
      ['PUBLISH', 'ss:res:x', 'forged'],
      ['XREADGROUP', 'GROUP', 'workers', 'thief', 'STREAMS', jobs, '>'],
      ['XTRIM', jobs, 'MAXLEN', '0'],
      ['XADD', dead, '*', 'id', 'forged'],
      ['HSET', workers, 'forged', '{}'],
      ['HSET', '{ss:everyday}:res:x', 'outcome', 'forged'],
      ['SET', '{ss:everyday}:about:x', 'forged']
    ],
    worker: [
      ...never,
      ['SUBSCRIBE', 'ss:res:x'],
      ['XADD', jobs, '*', 'id', 'forged'],
      ['HGETALL', '{ss:everyday}:res:x'],
      ['GET', '{ss:everyday}:about:x'],
      ['DEL', '{ss:everyday}:res:x'],
      ['PUBLISH', 'another:channel', 'x'],
      ['HSET', '{ss:everyday}:job:x', 'entry', '1']
    ]
  }
  for (const [role, commands] of Object.entries(forbidden)) {
    const connection = await openRedis(t, `redis://${role}:${role}-password@127.0.0.1:${redis.port}`)
    for (const command of commands)
      await assert.rejects(connection.sendCommand(command), /NOPERM|No permissions/, `${role}: ${command.join(' ')}`)
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
