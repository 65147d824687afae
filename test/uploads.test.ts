import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../scripts/bootstrap.js'
import { assertShip, chunked, curl, post, postForm, postStubbornly, withoutCurl, type Reply } from './support/client.ts'
import { fixture, startSystem } from './support/system.ts'

const ship = fixture('ship.jpg')

test('every way to send an image is understood', async t => {
  const system = await startSystem(t)
  const file = join(root, 'test/fixtures/ship.jpg')
  const json = (image: string) => post(system, JSON.stringify({ image }), { type: 'application/json' })
  const ways: Record<string, () => Promise<Reply>> = {
    'a form with a file name': () => postForm(system, [{ name: 'image', content: ship, filename: 'ship.jpg' }]),
    'a form without a file name': () => postForm(system, [{ name: 'image', content: ship }]),
    'a form with fields around it': () =>
      postForm(system, [
        { name: 'topK', content: '5' },
        { name: 'image', content: ship, filename: 'ship.jpg' },
        { name: 'model', content: 'everyday' }
      ]),
    'a form with base64': () => postForm(system, [{ name: 'image', content: ship.toString('base64') }]),
    'a form with a data URL': () =>
      postForm(system, [{ name: 'image', content: `data:image/jpeg;base64,${ship.toString('base64')}` }]),
    'JSON with base64': () => json(ship.toString('base64')),
    'JSON with base64url': () => json(ship.toString('base64url')),
    'JSON with a data URL': () => json(`data:image/jpeg;base64,${ship.toString('base64')}`),
    'raw as the type it has': () => post(system, ship, { type: 'image/jpeg' }),
    'raw as a type it does not have': () => post(system, ship, { type: 'image/png' }),
    'raw as text': () => post(system, ship, { type: 'text/plain' }),
    'raw as what curl claims': () => post(system, ship, { type: 'application/x-www-form-urlencoded' }),
    'raw without a type': () => post(system, ship),
    'raw in chunks of unknown number': () => postStubbornly(system, chunked(ship), { 'Transfer-Encoding': 'chunked' })
  }
  for (const [way, send] of Object.entries(ways)) await t.test(way, async () => assertShip(await send()))

  const curlWays: Record<string, string[]> = {
    '-F image=@': ['-F', `image=@${file}`],
    '-F image=<': ['-F', `image=<${file}`],
    '--data-binary': ['--data-binary', `@${file}`]
  }
  for (const [way, args] of Object.entries(curlWays))
    await t.test(`curl ${way}`, { skip: withoutCurl }, async () => assertShip(await curl(system, args)))

  for (const [topK, expected] of [
    [1, 1],
    [3, 3],
    [100, 10]
  ] as const) {
    await t.test(`topK=${topK} gives ${expected} of the model’s 10 classes`, async () => {
      assertShip(await post(system, ship, { query: `?topK=${topK}` }), expected)
    })
  }
  await t.test('the model by its name', async () => assertShip(await post(system, ship, { query: '?model=everyday' })))
})
