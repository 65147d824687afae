import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type, type TObject } from '@streamsight/schema'
import { ConfigError, loadConfig } from '../src/config.ts'

const schema = Type.Object({
  PORT: Type.Integer({ default: 5000, minimum: 0, maximum: 65_535, description: 'TCP port' }),
  RATIO: Type.Number({ default: 0.5, description: 'Part of a whole' }),
  PREFIX: Type.String({ default: 'ss', pattern: '^[a-z]+$', description: 'Start of every key' }),
  LEVEL: Type.Enum(['low', 'high'], { default: 'low', description: 'How much' }),
  DEBUG: Type.Boolean({ default: false, description: 'Whether to say more' })
})

const defaults = { PORT: 5000, RATIO: 0.5, PREFIX: 'ss', LEVEL: 'low', DEBUG: false }

test('what is not set has its default', () => {
  assert.deepEqual({ ...loadConfig(schema, {}) }, defaults)
})

test('what is set to nothing is not set', () => {
  const env = Object.fromEntries(Object.keys(defaults).map(name => [name, '']))
  assert.deepEqual({ ...loadConfig(schema, env) }, defaults)
  assert.deepEqual({ ...loadConfig(schema, { PORT: undefined }) }, defaults)
})

test('values are of their type, not text', () => {
  const config = loadConfig(schema, { PORT: '80', RATIO: '0.25', PREFIX: 'xy', LEVEL: 'high', DEBUG: 'true' })
  assert.deepEqual({ ...config }, { PORT: 80, RATIO: 0.25, PREFIX: 'xy', LEVEL: 'high', DEBUG: true })
})

test('other variables of the environment do not get in', () => {
  assert.deepEqual(Object.keys(loadConfig(schema, { HOME: '/root', PATH: '/bin' })), Object.keys(defaults))
})

const wrong: Array<[env: Record<string, string>, message: string]> = [
  [{ PORT: 'abc' }, 'PORT="abc" is not valid: must be integer. TCP port (default: 5000)'],
  [{ PORT: '1.5' }, 'PORT="1.5" is not valid: must be integer. TCP port (default: 5000)'],
  [{ PORT: '-1' }, 'PORT="-1" is not valid: must be >= 0. TCP port (default: 5000)'],
  [{ PORT: '65536' }, 'PORT="65536" is not valid: must be <= 65535. TCP port (default: 5000)'],
  [{ RATIO: 'half' }, 'RATIO="half" is not valid: must be number. Part of a whole (default: 0.5)'],
  [{ PREFIX: 'a b' }, 'PREFIX="a b" is not valid: must match pattern "^[a-z]+$". Start of every key (default: ss)'],
  [{ LEVEL: 'loud' }, 'LEVEL="loud" is not valid: must be one of low, high. How much (default: low)'],
  [{ DEBUG: 'perhaps' }, 'DEBUG="perhaps" is not valid: must be boolean. Whether to say more (default: false)']
]
for (const [env, message] of wrong) {
  const [name, value] = Object.entries(env)[0] ?? []
  test(`${name}=${value} is refused in one line with name, value and what is allowed`, () => {
    assert.throws(
      () => loadConfig(schema, env),
      error => {
        assert.ok(error instanceof ConfigError)
        assert.equal(error.code, 'CONFIG')
        assert.equal(error.message, message)
        return true
      }
    )
  })
}

test('everything that is wrong is said at once, one line each', () => {
  assert.throws(
    () => loadConfig(schema, { PORT: 'abc', LEVEL: 'loud', PREFIX: 'ok' }),
    error => {
      const lines = (error as Error).message.split('\n')
      assert.deepEqual(
        lines.map(line => line.split('=')[0]),
        ['PORT', 'LEVEL']
      )
      return true
    }
  )
})

test('what has no default must be given', () => {
  const strict = Type.Object({ NAME: Type.String({ description: 'Who' }) })
  assert.throws(() => loadConfig(strict, {}), {
    code: 'CONFIG',
    message: /^NAME=undefined is not valid: must have required property .*NAME.*\. Who \(default: none\)$/
  })
})

test('a secret that is not valid is not shown', () => {
  for (const name of ['API_KEYS', 'ADMIN_TOKEN', 'REDIS_PASSWORD', 'REDIS_URL']) {
    const strict: TObject = Type.Object({ [name]: Type.String({ pattern: '^[a-z]+$', description: 'Secret' }) })
    assert.throws(
      () => loadConfig(strict, { [name]: 'hunter2' }),
      error => {
        assert.match((error as Error).message, new RegExp(`^${name}=\\(hidden\\) is not valid`))
        assert.doesNotMatch((error as Error).message, /hunter2/)
        return true
      }
    )
  }
})
