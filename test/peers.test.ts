import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { figuresOf } from '../bench/figures.ts'
import { burst } from '../bench/load.ts'
import { assertSameWork, isAnswerTo } from '../bench/peers/answers.ts'
import { compare } from '../bench/peers/compare.ts'
import type { ContenderName } from '../bench/peers/contenders.ts'
import { buildServer } from '../bench/peers/in-process.ts'
import { createPrograms } from '../bench/peers/programs.ts'
import { ensurePython } from '../bench/peers/python.ts'
import { asForm } from '../bench/pictures.ts'
import { root } from '../scripts/bootstrap.js'
import { temporaryFolder } from './support/folder.ts'
import { until } from './support/until.ts'

const fixtures = join(root, 'test', 'fixtures')
const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as Record<string, string>

test('the server without a queue answers what the whole system answers', async t => {
  const app = await buildServer({ modelsDir: join(root, 'models'), name: 'everyday', threads: 1 })
  t.after(() => app.close())
  for (const [file, label] of Object.entries(expected)) {
    const { body, contentType } = asForm(readFileSync(join(fixtures, file)))
    const reply = await app.inject({
      method: 'POST',
      url: '/predict',
      headers: { 'content-type': contentType },
      payload: body
    })
    assert.equal(reply.json().predictions[0].label, label)
    assert.equal(reply.json().predictions.length, 5)
  }

  const { body, contentType } = asForm(Buffer.from('no image'))
  const refused = await app.inject({
    method: 'POST',
    url: '/predict',
    headers: { 'content-type': contentType },
    payload: body
  })
  assert.equal(refused.statusCode, 415)
})

test('a load counts what was never answered as lost, and the answer to another picture as wrong', async t => {
  const url = await serve(t, body => (body === 'silence' ? undefined : body))
  const uploads = ['silence', 'a', 'b', 'c'].map(body => ({ body: Buffer.from(body), contentType: 'text/plain' }))
  const { errors, ok } = figuresOf(
    await burst({
      url,
      uploads,
      count: 4,
      lostAfterMs: 200,
      isRight: (answer, upload) => answer === ['', 'a', 'b', 'a'][upload]
    })
  )

  assert.equal(ok, 2)
  assert.deepEqual(errors, { 'LOST HeadersTimeoutError': 1, WRONG: 1 })
})

test('an answer belongs to a picture if all its probabilities do', () => {
  const isRight = isAnswerTo([
    [
      { label: 'cat', probability: 0.5 },
      { label: 'dog', probability: 0.2 }
    ]
  ])
  const answer = (...probabilities: number[]) =>
    JSON.stringify({ predictions: probabilities.map(probability => ({ label: 'cat', probability })) })

  assert.equal(isRight(answer(0.50004, 0.2), 0), true)
  assert.equal(isRight(answer(0.5, 0.21), 0), false)
  assert.equal(isRight(answer(0.5), 0), false)
})

test('contenders with another top class, or with another probability, do not do the same work', () => {
  const ours = [[{ label: 'cat', probability: 0.4 }]]
  assert.equal(assertSameWork('x', ours, ours), 0)
  assert.throws(
    () => assertSameWork('x', [[{ label: 'dog', probability: 0.4 }]], ours),
    /picture 0 is dog with 0.40000 to it and cat with 0.40000 to Streamsight/
  )
  assert.throws(() => assertSameWork('x', [[{ label: 'cat', probability: 0.41 }]], ours), /x does not do the same work/)
})

test('a comparison says whether its target is met, and nothing of what was not measured', () => {
  const result = (name: ContenderName, clients: number, imagesPerSecond: number, p50Ms: number) => ({
    name,
    clients,
    imagesPerSecond,
    p50Ms,
    p99Ms: 2 * p50Ms,
    errors: {}
  })
  const findings = compare([
    result('Streamsight', 1, 20, 50),
    result('recipe', 1, 2, 150),
    result('in-process', 1, 20, 44),
    result('Streamsight', 32, 22, 1_000),
    result('FastAPI', 32, 20, 900)
  ])

  assert.deepEqual(
    findings.map(finding => finding.split(':')[0]),
    ['Met', 'Met', 'NOT met', 'NOT met']
  )
  assert.match(findings[0] ?? '', /0\.33 of the time.*50\.0 ms and 150\.0 ms/)
  assert.match(findings[3] ?? '', /adds 6\.0 ms/)
})

test('a program that ends at once is reported with what it said', async t => {
  const programs = createPrograms()
  t.after(() => programs.close())
  await assert.rejects(
    programs.start({
      name: 'broken',
      command: 'sh',
      args: ['-c', 'echo no such model; exit 1'],
      env: {},
      isReady: () => false
    }),
    /broken ended before it was ready:\nno such model/
  )
  await assert.rejects(
    programs.start({ name: 'missing', command: 'no-such-command', args: [], env: {}, isReady: () => false }),
    /missing ended before it was ready/
  )
})

test('what a program has started ends with it', async t => {
  const programs = createPrograms()
  t.after(() => programs.close())
  const folder = temporaryFolder(t)
  const pidFile = join(folder, 'pid')
  const pid = () => Number(readFileSync(pidFile, 'utf8'))
  const program = await programs.start({
    name: 'parent',
    command: 'sh',
    args: ['-c', `sleep 600 & echo $! > ${pidFile}; echo ready; wait`],
    env: {},
    isReady: output => output.includes('ready')
  })
  program.halt()
  await program.stop()
  await until('the child has ended', () => !isRunning(pid()))
})

test('without Python the peers are left out with a reason of one line', async t => {
  const folder = temporaryFolder(t)
  assert.deepEqual(await ensurePython({ folder, program: 'no-such-python' }), {
    missing: 'there is no python3 on the PATH'
  })
})

/** A server that echoes bodies through `answer`, and keeps silent where that is undefined. */
async function serve(t: TestContext, answer: (body: string) => string | undefined): Promise<string> {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const text = answer(body)
    if (text !== undefined) response.end(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A process that ended and was not collected by its parent does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
