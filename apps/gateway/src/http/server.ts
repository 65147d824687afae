import { isIP } from 'node:net'
import {
  LogController,
  type FastifyHttpOptions,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault
} from 'fastify'
import { ConfigError, listOf, shown } from '@streamsight/service'
import type { Gateway } from '../gateway.ts'
import { recordRequest } from '../request-log.ts'
import { createConnectionErrors } from './connection-errors.ts'
import { sendError } from './error-answers.ts'
import { requestIdOf } from './request-id.ts'

/** Time to receive a whole request: ten megabytes over a poor mobile connection. */
const receiveTimeoutMs = 60_000

/** Time to receive the headers of a request: some lost packets, sent again. */
const headersTimeoutMs = 10_000

/** How often Node looks for requests that take longer than these two. Its own 30 s would add half a minute to both. */
const timeoutCheckMs = 1_000

/** A connection is kept longer than balancers keep theirs (60 s is usual), so that none sends into one that just closes. */
const keepAliveTimeoutMs = 72_000

/** What Fastify and Node's server are told before any plugin. */
export function serverOptions(gateway: Gateway) {
  const { config, log } = gateway
  return {
    // Fastify's own lines would only repeat ours, but for its warnings.
    loggerInstance: log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level }),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIdOf,
    // As long as a URL can be: what no model is called is not found, however long.
    routerOptions: { maxParamLength: 16_384 },
    trustProxy: trustedProxies(config.TRUST_PROXY),
    requestTimeout: receiveTimeoutMs,
    // Closing is bounded by it too, and that waits for open requests: with Fastify's own 10 s it would fail half way.
    pluginTimeout: config.REQUEST_TIMEOUT_MS + 2 * receiveTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // Nothing either way for longer than any answer takes: whoever does not read his answer goes.
    connectionTimeout: config.REQUEST_TIMEOUT_MS + receiveTimeoutMs,
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: timeoutCheckMs },
    // `predict` answers in our own words while open requests finish.
    return503OnClosing: false,
    // Unknown parameters are refused by name, not dropped.
    ajv: { customOptions: { removeAdditional: false, verbose: true } },
    frameworkErrors(error, request, reply) {
      recordRequest({ request: request as FastifyRequest, reply: reply as FastifyReply }, gateway)
      sendError(error, request as FastifyRequest, reply as FastifyReply)
    },
    clientErrorHandler: createConnectionErrors(gateway)
  } satisfies FastifyHttpOptions<RawServerDefault>
}

/** TRUST_PROXY as Fastify takes it. Throws a ConfigError for what is no address. */
function trustedProxies(setting: string): FastifyHttpOptions<RawServerDefault>['trustProxy'] & {} {
  if (setting === '' || setting === 'true') return setting === 'true'
  const hops = Number(setting)
  if (Number.isInteger(hops)) return (_address, hop) => hop < hops
  const proxies = listOf(setting)
  const wrong = proxies.find(proxy => !isNetwork(proxy))
  if (wrong !== undefined)
    throw new ConfigError(`TRUST_PROXY=${shown(setting)} is not valid: ${shown(wrong)} is no address or CIDR`)
  return proxies
}

function isNetwork(text: string): boolean {
  const [address = '', bits = '0', ...rest] = text.split('/')
  const maxBits = isIP(address) === 6 ? 128 : 32
  return isIP(address) > 0 && rest.length === 0 && /^\d+$/.test(bits) && Number(bits) <= maxBits
}
