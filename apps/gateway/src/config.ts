import { Type, type Static } from 'typebox'
import { limits } from '@streamsight/protocol'
import { logLevels } from '@streamsight/service'

/** Every setting of a gateway; also its validation and documentation. */
export const configSchema = Type.Object({
  HOST: Type.String({ default: '0.0.0.0', description: 'Address to listen on' }),
  PORT: Type.Integer({
    default: 5000,
    minimum: 0,
    maximum: 65_535,
    description: 'TCP port to listen on; 0 is any free one'
  }),
  REDIS_URL: Type.String({
    default: 'redis://127.0.0.1:6379',
    pattern: '^(redis|rediss|unix)://.+',
    description: 'redis://, rediss:// (TLS) or unix:// address of Redis or Valkey'
  }),
  REDIS_PREFIX: Type.String({
    default: 'ss',
    pattern: '^[A-Za-z0-9_-]+$',
    description: 'Start of every key and channel'
  }),
  MODELS: Type.String({
    default: 'efficientnet-lite0',
    pattern: '^ *[a-z0-9][a-z0-9._-]*( *, *[a-z0-9][a-z0-9._-]*)* *$',
    description: 'Comma-separated names of the models served; the first answers where a request names none'
  }),
  REQUEST_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: limits.requestTimeoutMs,
    description: 'Milliseconds from upload to answer, then 504'
  }),
  MAX_IMAGE_BYTES: Type.Integer({
    default: 10_485_760,
    minimum: 1,
    maximum: 104_857_600,
    description: 'Bytes an image may have'
  }),
  MAX_IMAGE_PIXELS: Type.Integer({ default: 50_000_000, minimum: 1, description: 'Width × height an image may have' }),
  MAX_IN_FLIGHT: Type.Integer({
    default: 1_024,
    minimum: 1,
    description: 'Requests open at once in this gateway, then 503'
  }),
  MAX_IN_FLIGHT_BYTES: Type.Integer({
    default: 536_870_912,
    minimum: 1,
    description: 'Bytes of request bodies open at once in this gateway, then 503'
  }),
  MAX_QUEUE_DEPTH: Type.Integer({
    default: 1_000,
    minimum: 1,
    description:
      'Jobs waiting in Redis, then 503; less where the workers need more than half of REQUEST_TIMEOUT_MS for them'
  }),
  API_KEYS: Type.String({
    default: '',
    description: 'Comma-separated keys, one of which must come as Authorization: Bearer; none is open to all'
  }),
  RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 0,
    minimum: 0,
    description: 'Requests a minute for each API key, or address where there are none; 0 is no limit'
  }),
  ADMIN_TOKEN: Type.String({
    default: '',
    description: 'Bearer token of the routes under /admin; none turns them off'
  }),
  LOG_LEVEL: Type.Enum([...logLevels], { default: 'info', description: 'Least severe level that is logged' })
})

export type Config = Static<typeof configSchema>
