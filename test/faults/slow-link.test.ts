import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { fixture, type Answer } from '../support/system.ts'
import { startBehindProxy } from './behind-proxy.ts'
import { fault } from './fault.ts'
import { assertQuiet } from './oracle.ts'
import { watchReadiness } from './readiness.ts'

const linkBytesPerSecond = 1_500_000
const offeredBytesPerSecond = 2_500_000
const imageBytes = 100_000
/**
 * The link falls behind by two thirds of a second each second: as far as a deadline allows, and then as long as the first are told to
 * wait. Nobody could promise anything to those who come again if as many new clients came for ever.
 */
const offeredForMs = 15_000
const deadlineMs = 10_000

/** A picture of a hundred kilobytes: what stands after its end is ignored. */
const picture = Buffer.concat([fixture('ship.jpg'), Buffer.alloc(imageBytes)]).subarray(0, imageBytes)

/** What became of a client: the codes of its refusals, then "ok" where it was admitted. */
interface Client {
  said: string[]
  retryAfterS: number[]
}

fault('B3. a link of 1.5 MB/s with 2.5 offered: who waits as long as told is admitted; an upload a job', async t => {
  const { system, proxy } = await startBehindProxy(t, 'gateway', { env: { REQUEST_TIMEOUT_MS: String(deadlineMs) } })
  const watch = watchReadiness(system)
  proxy.throttle({ toServer: linkBytesPerSecond, toClient: linkBytesPerSecond })
  const uploadsBefore = proxy.counts.uploads
  const clients: Array<Promise<Client>> = []
  const startedMs = performance.now()
  while (performance.now() - startedMs < offeredForMs) {
    const dueBytes = ((performance.now() - startedMs) / 1_000) * offeredBytesPerSecond
    while (clients.length * imageBytes < dueBytes) clients.push(visit(system))
    await sleep(10)
  }
  const all = await Promise.all(clients)
  await watch.stop()
  const uploads = proxy.counts.uploads - uploadsBefore
  proxy.heal()

  const refused = all.filter(({ said }) => said[0] !== 'ok')
  const figures = {
    clients: all.length,
    answered: all.filter(({ said }) => said.at(-1) === 'ok').length,
    uploads,
    refused: refused.length,
    admittedAfterwards: refused.filter(({ said }) => said[1] === 'ok').length,
    codes: countOf(all.flatMap(({ said }) => said)),
    retryAfterS: countOf(all.flatMap(({ retryAfterS }) => retryAfterS.map(String)))
  }
  const summary = JSON.stringify(figures)
  t.diagnostic(summary)
  assert.ok(refused.length > 0, `nothing was refused: ${summary}`)
  assert.deepEqual(
    Object.keys(figures.codes).filter(code => !['ok', 'OVERLOADED'].includes(code)),
    [],
    summary
  )
  assert.ok(figures.admittedAfterwards >= 0.9 * refused.length, summary)
  assert.equal(uploads, figures.answered, summary)
  assert.ok(!watch.wasRed(), JSON.stringify(watch.changes))
  await assertQuiet(system)
})

/** A client that comes again when it is told to. */
async function visit(system: { predict: (image: Buffer) => Promise<Answer> }): Promise<Client> {
  const client: Client = { said: [], retryAfterS: [] }
  for (const isLast of [false, true]) {
    const { status, headers, body } = await system.predict(picture)
    const said = body.predictions?.[0]?.label === 'ship' ? 'ok' : 'WRONG'
    client.said.push(status === 200 ? said : (body.error?.code ?? `HTTP ${status}`))
    if (status === 200) break
    const retryAfterS = Number(headers.get('retry-after') ?? Number.NaN)
    client.retryAfterS.push(retryAfterS)
    if (!isLast) await sleep(retryAfterS * 1_000)
  }
  return client
}

function countOf(items: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1
  return counts
}
