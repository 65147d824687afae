import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const secret = 'hunter2'

/** What a process prints that logs this way: `say` is code with a `log` and a `secret` at hand. */
function printed(say: string, { level = 'info', pretty = false } = {}): string {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../src/log.ts', import.meta.url).href)}
    const log = createLogger({ name: 'test', level: '${level}', pretty: ${pretty} })
    const secret = '${secret}'
    ${say}`
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', script],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8' }
  )
  assert.equal(status, 0, stderr)
  return stdout
}

/** Every place in which a secret once turned up in somebody's log. */
const places: Record<string, string> = {
  'a field': 'log.info({ event: "x", password: secret, token: secret, authorization: `Bearer ${secret}` }, "hello")',
  'an address': 'log.info({ url: `redis://:${secret}@10.0.0.7:6379` }, "hello")',
  'the address of Redis': 'log.info({ redisUrl: `redis://user:${secret}@10.0.0.7:6379` }, "hello")',
  'a field of a field': 'log.info({ options: { password: secret } }, "hello")',
  'a field deep down': 'log.info({ a: { b: [{ c: { password: secret, url: `rediss://u:${secret}@h` } }] } }, "hello")',
  'the settings':
    'log.info({ config: { REDIS_URL: `redis://:${secret}@h`, API_KEYS: `a,${secret}`, ADMIN_TOKEN: secret } }, "hello")',
  'the settings at the top':
    'log.info({ REDIS_URL: `redis://:${secret}@h`, API_KEYS: `a,${secret}`, ADMIN_TOKEN: secret }, "hello")',
  'the headers of a request':
    'log.info({ req: { headers: { authorization: `Bearer ${secret}` } }, headers: { Authorization: `Basic ${secret}` } }, "hello")',
  'the message': 'log.info(`connecting to redis://user:${secret}@10.0.0.7:6379/0`)',
  'the message of an error and its stack':
    'log.error({ err: new Error(`connect redis://:${secret}@h failed`) }, "hello")',
  'a field of an error':
    'log.error({ err: Object.assign(new Error("x"), { input: `redis://:${secret}@h`, options: { password: secret } }) }, "hello")',
  'the cause of an error': 'log.error({ err: new Error("x", { cause: new Error(`redis://:${secret}@h`) }) }, "hello")',
  'a header in a text': 'log.info({ reason: `refused "Authorization: Bearer ${secret}"` }, "hello")',
  'text with quotes in it': 'log.info({ password: `"${secret}"`, token: `a\\\\"${secret}` }, "hello")',
  'a child logger': 'log.child({ password: secret, url: `redis://:${secret}@h` }).info("hello")'
}

test('no secret gets out, wherever it stands, and every line is still JSON', () => {
  const lines = printed(Object.values(places).join('\n')).trimEnd().split('\n')
  assert.equal(lines.length, Object.keys(places).length)
  Object.keys(places).forEach((place, i) => {
    assert.doesNotMatch(lines[i] ?? '', new RegExp(secret), place)
    assert.match(lines[i] ?? '', /\(hidden\)/, place)
    assert.doesNotThrow(() => {
      JSON.parse(lines[i] ?? '')
    }, place)
  })
})

test('what is no secret is told', () => {
  const [line = ''] = printed(
    'log.info({ event: "ready", address: "http://0.0.0.0:5000", keys: 3, tokens: 7, route: "/predict", monkey: "see" }, "mail to a@b.c")'
  ).split('\n')
  const { level, event, address, keys, tokens, route, monkey, msg, name } = JSON.parse(line) as Record<string, unknown>
  assert.deepEqual(
    { level, event, address, keys, tokens, route, monkey, msg, name },
    {
      level: 30,
      event: 'ready',
      address: 'http://0.0.0.0:5000',
      keys: 3,
      tokens: 7,
      route: '/predict',
      monkey: 'see',
      msg: 'mail to a@b.c',
      name: 'test'
    }
  )
})

test('what people read on a terminal has no secrets either', () => {
  const text = printed(Object.values(places).join('\n'), { pretty: true })
  assert.match(text, /hello/)
  assert.doesNotMatch(text, new RegExp(secret))
})

test('what is less severe than the level is not printed', () => {
  const text = printed('log.debug("one"); log.info("two"); log.warn("three"); log.error("four")', { level: 'warn' })
  assert.deepEqual(
    text
      .trimEnd()
      .split('\n')
      .map(line => (JSON.parse(line) as { msg: string }).msg),
    ['three', 'four']
  )
  assert.equal(printed('log.fatal("one")', { level: 'silent' }), '')
})
