import { EnvHttpProxyAgent, interceptors } from 'undici'

/** What goes wrong while a file is downloaded; the message names the address or host and says what can be done. */
export class DownloadError extends Error {
  readonly code = 'DOWNLOAD'
  /** Whether another attempt may succeed, and if the server said so, how long to wait before it. */
  readonly transient: boolean
  readonly retryAfterMs: number | undefined

  constructor(
    message: string,
    {
      transient = false,
      retryAfterMs,
      cause
    }: { transient?: boolean; retryAfterMs?: number | undefined; cause?: unknown } = {}
  ) {
    super(message, { cause })
    this.transient = transient
    this.retryAfterMs = retryAfterMs
  }
}

/** Addresses of proxies, as in the environment variables; empty counts as unset. */
export interface Proxies {
  httpProxy?: string | undefined
  httpsProxy?: string | undefined
  noProxy?: string | undefined
}

export interface NetworkOptions extends Proxies {
  /** After so long without a byte, or without a connection, an attempt is given up. */
  stallMs?: number
}

export type Network = ReturnType<typeof createNetwork>

/** HTTP for downloads: through proxies where they are set, following redirects, and never waiting for ever. */
export function createNetwork({
  httpProxy = '',
  httpsProxy = '',
  noProxy = '',
  stallMs = 30_000
}: NetworkOptions = {}) {
  assertProxy('HTTP_PROXY', httpProxy)
  assertProxy('HTTPS_PROXY', httpsProxy)
  const agent = new EnvHttpProxyAgent({
    httpProxy,
    // As curl does not: one proxy for both is what most people who set only HTTP_PROXY mean.
    httpsProxy: httpsProxy || httpProxy,
    noProxy,
    // Many proxies allow CONNECT to port 443 alone; plain HTTP they forward.
    proxyTunnel: false,
    connect: { timeout: stallMs },
    headersTimeout: stallMs,
    bodyTimeout: stallMs
  })

  return {
    dispatcher: agent.compose(interceptors.redirect({ maxRedirections: 5 })),
    usesProxy: httpProxy !== '' || httpsProxy !== '',
    stallMs,
    close: (): Promise<void> => agent.destroy()
  }
}

function assertProxy(variable: string, value: string): void {
  if (value === '') return
  // The address may hold a password: it is not shown.
  if (!URL.canParse(value) || !/^(https?|socks5?):$/.test(new URL(value).protocol))
    throw new DownloadError(`${variable} is not the address of a proxy: it must look like http://host:port`)
}

/** These end when the name or the certificate is put right, not by trying again. */
const permanent =
  /^(ENOTFOUND|ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_INVALID|UND_ERR_INVALID|UND_ERR_ABORTED|UND_ERR_PRX)/
const certificate = /^(ERR_TLS_CERT|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/
const unreachable = /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/
const stalled = /^UND_ERR_(BODY|HEADERS)_TIMEOUT$/

/** A failure of the connection in words, with what may help. */
export function toDownloadError(
  error: unknown,
  url: string,
  { usesProxy, stallMs }: Pick<Network, 'usesProxy' | 'stallMs'>
): DownloadError {
  const { host } = new URL(url)
  const { code, message } = innermost(error)
  const options = { transient: !permanent.test(code), cause: error }
  if (certificate.test(code))
    return new DownloadError(
      `${host} shows a certificate that is not trusted (${code}): ` +
        'if your network inspects TLS, name its certificate in NODE_EXTRA_CA_CERTS',
      options
    )
  if (unreachable.test(code))
    return new DownloadError(
      `can't reach ${host} (${code})` +
        (usesProxy
          ? ' through the proxy that HTTPS_PROXY or HTTP_PROXY names'
          : '; if this network needs a proxy, set HTTPS_PROXY=http://host:port'),
      options
    )
  if (stalled.test(code)) return new DownloadError(`${host} sent nothing for ${stallMs / 1_000} s`, options)
  return new DownloadError(`the connection to ${host} broke: ${message}${code === '' ? '' : ` (${code})`}`, options)
}

/** Attempts to several addresses fail as one AggregateError; proxies wrap the failure in another one. */
function innermost(error: unknown): { code: string; message: string } {
  const {
    code,
    message = String(error),
    errors,
    cause
  } = error as { code?: unknown; message?: string; errors?: unknown[]; cause?: unknown }
  if (errors?.[0] !== undefined) return innermost(errors[0])
  if (cause !== undefined && typeof code !== 'string') return innermost(cause)
  return { code: typeof code === 'string' ? code : '', message }
}
