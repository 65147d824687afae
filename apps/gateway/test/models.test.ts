import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeenWorker } from '@streamsight/protocol'
import { servedModels } from '../src/http/models.ts'

test('no worker serves no model', () => assert.deepEqual(servedModels([]), []))

test('workers of one version are one model, with each engine once', () => {
  const workers = [worker('1', 'onnx-cpu'), worker('1', 'onnx-cuda'), worker('1', 'onnx-cpu')]
  assert.deepEqual(servedModels(workers), [
    {
      name: 'everyday',
      version: '1',
      classes: 10,
      input: { width: 32, height: 24 },
      engines: ['onnx-cpu', 'onnx-cuda'],
      workers: 3
    }
  ])
})

test('two versions during a roll-out are two', () => {
  const served = servedModels([worker('1', 'onnx-cpu'), worker('2', 'onnx-cpu', 20), worker('1', 'onnx-cpu')])
  assert.deepEqual(
    served.map(({ version, workers, classes }) => ({ version, workers, classes })),
    [
      { version: '1', workers: 2, classes: 10 },
      { version: '2', workers: 1, classes: 20 }
    ]
  )
})

function worker(version: string, engine: string, classes = 10): SeenWorker {
  return {
    name: 'a',
    pid: 1,
    state: 'ready',
    model: { name: 'everyday', version, classes, width: 32, height: 24 },
    engine,
    latency: { aMs: 1, bMs: 1 },
    maxBatch: 4,
    ratePerSecond: 100,
    held: 0,
    finished: 0,
    silentMs: 0
  }
}
