/**
 * A balancer as most are: it asks each gateway in turn for its readiness, keeps connections, and tells a client of
 * every error.
 */
import { Agent, createServer, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { until } from './until.ts'

export async function startBalancer(t: TestContext, { ports, probeMs }: { ports: number[]; probeMs: number }) {
  const agent = new Agent({ keepAlive: true })
  const green = new Set<number>()
  let next = 0
  const probing = setInterval(() => {
    for (const port of ports) void probe(port)
  }, probeMs)
  const server = createServer((incoming, outgoing) => {
    const targets = [...green]
    const port = targets[next++ % Math.max(1, targets.length)]
    if (port === undefined) return void outgoing.writeHead(502).end()
    const { method, url: path, headers } = incoming
    const passed = request({ host: '127.0.0.1', port, method, path, headers, agent }, answer => {
      outgoing.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' })
      answer.pipe(outgoing)
    })
    passed.once('error', (error: NodeJS.ErrnoException) => outgoing.writeHead(502).end(error.code))
    incoming.pipe(passed)
  }).listen(0, '127.0.0.1')
  t.after(() => {
    clearInterval(probing)
    server.closeAllConnections()
    server.close()
    agent.destroy()
  })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  return {
    untilGreen: () => until('all gateways are green', () => green.size === ports.length, 60_000),

    /** The status, with the balancer's own error where it has one. */
    async predict(image: Buffer): Promise<string> {
      const response = await fetch(`http://127.0.0.1:${port}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'image/jpeg' },
        body: new Uint8Array(image)
      })
      const text = await response.text()
      return response.status === 200 ? '200' : `${response.status} ${text}`
    }
  }

  async function probe(target: number): Promise<void> {
    const probed = request({
      host: '127.0.0.1',
      port: target,
      path: '/health/ready',
      timeout: probeMs * 4,
      agent: false
    })
    probed.once('timeout', () => probed.destroy(new Error('no answer to a probe')))
    probed.end()
    const [answer] = (await once(probed, 'response').catch(() => [undefined])) as [IncomingMessage | undefined]
    answer?.resume()
    if (answer?.statusCode === 200) green.add(target)
    else green.delete(target)
  }
}
