import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeenWorker } from '@streamsight/protocol'
import { servedModels } from '../src/http/served-models.ts'

test('no worker serves no model', () => assert.deepEqual(servedModels([]), []))

test('workers of one version are one model, with each engine and each precision once', () => {
  const workers = [
    worker({ engine: 'onnx-cpu', precision: 'int8', precisionReason: 'int8: avx512_vnni found' }),
    worker({ engine: 'onnx-cuda', precisionReason: 'exact: int8 is for CPUs' }),
    worker({ engine: 'onnx-cpu', precision: 'int8', precisionReason: 'int8: avx512_vnni found' })
  ]
  assert.deepEqual(servedModels(workers), [
    {
      about: 'digest of 1',
      model: {
        name: 'everyday',
        version: '1',
        versions: ['1'],
        classes: 10,
        input: { width: 32, height: 24 },
        engines: ['onnx-cpu', 'onnx-cuda'],
        precisions: [
          { precision: 'int8', reason: 'int8: avx512_vnni found' },
          { precision: 'float32', reason: 'exact: int8 is for CPUs' }
        ],
        workers: 3
      }
    }
  ])
})

test('two versions during a roll-out are two, and each names both; those of another model are not among them', () => {
  const served = servedModels([worker({}, '2'), worker({}, '1'), worker({}, '2'), worker({}, '3', 'other')])
  assert.deepEqual(
    served.map(({ about, model: { name, version, versions, workers } }) => ({
      about,
      name,
      version,
      versions,
      workers
    })),
    [
      { about: 'digest of 2', name: 'everyday', version: '2', versions: ['1', '2'], workers: 2 },
      { about: 'digest of 1', name: 'everyday', version: '1', versions: ['1', '2'], workers: 1 },
      { about: 'digest of 3', name: 'other', version: '3', versions: ['3'], workers: 1 }
    ]
  )
})

function worker(differences: Partial<SeenWorker>, version = '1', name = 'everyday'): SeenWorker {
  return {
    name: 'a',
    pid: 1,
    state: 'ready',
    model: { name, version, classes: 10, width: 32, height: 24, about: `digest of ${version}` },
    engine: 'onnx-cpu',
    precision: 'float32',
    precisionReason: 'exact: no VNNI',
    latency: { aMs: 1, bMs: 1 },
    maxBatch: 4,
    ratePerSecond: 100,
    held: 0,
    finished: 0,
    silentMs: 0,
    ...differences
  }
}
