import { Type } from '@streamsight/schema'
import { logLevels } from './log.ts'

/** What gateway and worker must agree on, and what is the same for every process; to be spread into a schema. */
export const commonSettings = {
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
  MAX_IMAGE_PIXELS: Type.Integer({ default: 50_000_000, minimum: 1, description: 'Width × height an image may have' }),
  LOG_LEVEL: Type.Enum([...logLevels], { default: 'info', description: 'Least severe level that is logged' })
}
