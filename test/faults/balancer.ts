import { once } from 'node:events'
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

/** As operators set up their balancers. */
const probeIntervalMs = 500

/**
 * A balancer as simple as they come: takes turns between the gateways that were ready when it last asked, keeps connections to
 * them, tries nothing twice. A connection that breaks breaks the client's too.
 */
export async function startBalancer(t: Pick<TestContext, 'after'>, targets: ReadonlyArray<{ port: number }>) {
  const agent = new Agent({ keepAlive: true })
  const green = new Set<number>()
  let turn = 0
  let stopped = false
  const server = createServer(forward).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const probing = targets.map(({ port }) => probe(port))
  t.after(async () => {
    stopped = true
    server.closeAllConnections()
    server.close()
    agent.destroy()
    await Promise.all(probing)
  })

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sends: (target: { port: number }): boolean => green.has(target.port)
  }

  async function probe(port: number): Promise<void> {
    while (!stopped) {
      const response = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined)
      if (response?.status === 200) green.add(port)
      else green.delete(port)
      await sleep(probeIntervalMs)
    }
  }

  function forward(incoming: IncomingMessage, answer: ServerResponse): void {
    const ports = [...green]
    const port = ports[turn++ % ports.length]
    if (port === undefined) return refuse(answer)
    const { method, url: path, headers } = incoming
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent }, reply => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(answer)
    })
    outgoing.on('error', () => answer.destroy())
    answer.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }
}

function refuse(answer: ServerResponse): void {
  answer.writeHead(502, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { code: 'NO_GATEWAY' } }))
}
