import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { Address6 } from 'ip-address'

/**
 * The address that a request counts for. Of IPv6 the first 64 bits, since every customer gets at least that many addresses
 * for himself. What a trusted proxy forwards that is no address does not count.
 */
export function addressOf({ ip, raw }: Pick<FastifyRequest, 'ip' | 'raw'>): string {
  const forwarded = withoutPort(ip)
  const address = isIP(forwarded) > 0 ? forwarded : (raw.socket.remoteAddress ?? 'unknown')
  if (isIP(address) !== 6) return address
  const parsed = new Address6(address)
  return parsed.isMapped4() ? parsed.to4().correctForm() : new Address6(`${address}/64`).startAddress().correctForm()
}

/** Some proxies, Azure's for one, forward the port too: 192.0.2.1:50000 or [2001:db8::1]:50000. */
function withoutPort(address: string): string {
  const [, v4, v6] = /^(?:([\d.]+):\d+|\[([^\]]+)\](?::\d+)?)$/.exec(address) ?? []
  return v4 ?? v6 ?? address
}

/** The key in an Authorization header, without the spaces that may stand around it; empty if there is none. */
export function bearerOf({ headers }: Pick<FastifyRequest, 'headers'>): string {
  return /^bearer +(.*)$/i.exec(headers.authorization ?? '')?.[1]?.trim() ?? ''
}
