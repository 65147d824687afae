import { Type, type Static } from '@streamsight/schema'
import { limits } from '@streamsight/protocol'
import { commonSettings } from '@streamsight/service'

/** Addresses and CIDRs are checked in full where they are put to use. */
const trustPattern = '^(|true|\\d{1,2}|[0-9a-fA-F:./, ]+)$'

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
    description: 'Requests that have arrived and are not answered yet in this gateway, then 503'
  }),
  MAX_IN_FLIGHT_BYTES: Type.Integer({
    default: 536_870_912,
    minimum: 1,
    description: 'Bytes of request bodies that have arrived in this gateway and are still needed, then 503'
  }),
  MAX_UPLOADS: Type.Integer({
    default: 4_096,
    minimum: 1,
    description: 'Bodies being received at once, then those below MIN_UPLOAD_BYTES_PER_S are cut off, then 503'
  }),
  MAX_UPLOADS_PER_CLIENT: Type.Integer({
    default: 2_048,
    minimum: 1,
    description: 'The same for each API key, or address where there are none, then 429'
  }),
  MIN_UPLOAD_BYTES_PER_S: Type.Integer({
    default: 1_000,
    minimum: 1,
    description: 'Bytes a second that a body must keep coming with, then 408; below the poorest mobile connection'
  }),
  MIN_UPLOAD_GRACE_MS: Type.Integer({
    default: 5_000,
    minimum: 100,
    maximum: 60_000,
    description: 'Milliseconds over which that rate is measured: a lost packet or two may pause a body for as long'
  }),
  MAX_CONNECTIONS: Type.Integer({
    default: 8_192,
    minimum: 1,
    description: 'Connections open at once; for one more the longest idle of the address with most of them is closed'
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
    description: 'Requests a minute for each API key, or address (of IPv6: /64) where there are none; 0 is no limit'
  }),
  MAX_FAILED_KEYS_PER_MINUTE: Type.Integer({
    default: 30,
    minimum: 1,
    description: 'Wrong or missing API keys and admin tokens a minute from one address, then 429'
  }),
  TRUST_PROXY: Type.String({
    default: '',
    pattern: trustPattern,
    description:
      'Whose X-Forwarded-For is believed: true, a number of proxies, or a comma-separated list of their addresses or CIDRs; none is nobody'
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    pattern: String.raw`^ *(\*|https?://[^\s,/]+( *, *https?://[^\s,/]+)*)? *$`,
    description:
      'Comma-separated origins whose pages may ask, e.g. https://example.org; * is every page, none is no page'
  }),
  ADMIN_TOKEN: Type.String({
    default: '',
    description: 'Bearer token of the routes under /admin; none turns them off'
  })
})

export type Config = Static<typeof configSchema>
