import { Type, type Static } from 'typebox'
import { limits } from '@streamsight/protocol'
import { commonSettings } from '@streamsight/service'

/** Every setting of a gateway; also its validation and documentation. */
export const configSchema = Type.Object({
  ...commonSettings,
  HOST: Type.String({ default: '0.0.0.0', description: 'Address to listen on' }),
  PORT: Type.Integer({
    default: 5000,
    minimum: 0,
    maximum: 65_535,
    description: 'TCP port to listen on; 0 is any free one'
  }),
  REQUEST_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: limits.requestTimeoutMs,
    description: 'Milliseconds from upload to answer, then 504'
  }),
  SHUTDOWN_DELAY_MS: Type.Integer({
    default: 5_000,
    minimum: 0,
    maximum: 300_000,
    description:
      'Milliseconds after SIGTERM with readiness red and requests still answered; longer than your balancer needs'
  }),
  MAX_IMAGE_BYTES: Type.Integer({
    default: 10_485_760,
    minimum: 1,
    maximum: 104_857_600,
    description: 'Bytes an image may have'
  }),
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
  })
})

export type Config = Static<typeof configSchema>
