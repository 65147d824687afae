import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { openModel, type Artifact, type Manifest } from '@streamsight/models'
import { listCandidates } from '../src/engines/choose.ts'
import type { EngineChoice, PrecisionChoice } from '../src/engines/engine.ts'
import { findInt8Instructions, int8InstructionsIn } from '../src/engines/int8-instructions.ts'
import { root } from './support/pictures.ts'

const vnni = { found: 'avx512_vnni' }
const without = { missing: 'no VNNI' }
let manifest: Manifest

before(async () => {
  manifest = (await openModel(join(root, 'models'), 'efficientnet-lite0')).manifest
})

/** What would be tried, in order: engine, file and reason; or engine and why not. */
function tried(
  instructions: typeof vnni | typeof without,
  { choice = 'auto', precision = 'auto' }: { choice?: EngineChoice; precision?: PrecisionChoice } = {},
  keeps: (artifact: Artifact) => boolean = () => true
): string[][] {
  const model = { ...manifest, artifacts: manifest.artifacts.filter(keeps) }
  return listCandidates(model, { choice, precision }, instructions).map(option =>
    'reason' in option ? [option.engine, option.reason] : [option.engine, option.artifact.path, option.precisionReason]
  )
}

const isInt8 = ({ precision }: Artifact) => precision === 'int8'
const isOnnx = ({ format }: Artifact) => format === 'onnx'

test('auto tries int8 first on a CPU with VNNI, and never on a GPU', () => {
  assert.deepEqual(tried(vnni), [
    ['tfjs-node-gpu', 'model.json', 'exact: int8 is for CPUs'],
    ['onnx-cuda', 'model.onnx', 'exact: int8 is for CPUs'],
    ['onnx-webgpu', 'model.onnx', 'exact: int8 is for CPUs'],
    ['onnx-cpu', 'model-int8.onnx', 'int8: avx512_vnni found'],
    ['onnx-cpu', 'model.onnx', 'exact: the int8 artifact does not run here'],
    ['tfjs-wasm', 'model.json', 'exact: the model has no int8 artifact']
  ])
})

test('auto never tries int8 on a CPU without VNNI', () => {
  assert.deepEqual(tried(without, { choice: 'onnx-cpu' }), [['onnx-cpu', 'model.onnx', 'exact: no VNNI']])
})

test('exact is never int8, wherever it runs', () => {
  assert.deepEqual(tried(vnni, { choice: 'onnx', precision: 'exact' }), [
    ['onnx-cuda', 'model.onnx', 'exact: PRECISION=exact'],
    ['onnx-webgpu', 'model.onnx', 'exact: PRECISION=exact'],
    ['onnx-cpu', 'model.onnx', 'exact: PRECISION=exact']
  ])
})

test('int8 is obeyed without VNNI too, and the reason says that it is missing', () => {
  assert.deepEqual(tried(without, { precision: 'int8' }), [
    ['tfjs-node-gpu', 'int8 is for CPUs'],
    ['onnx-cuda', 'int8 is for CPUs'],
    ['onnx-webgpu', 'int8 is for CPUs'],
    ['onnx-cpu', 'model-int8.onnx', 'int8: PRECISION=int8, no VNNI'],
    ['tfjs-wasm', 'the model has no int8 tfjs artifact']
  ])
})

test('a model that has nothing but int8 is served by a CPU, whatever it is', () => {
  assert.deepEqual(tried(without, { choice: 'onnx' }, isInt8), [
    ['onnx-cuda', 'int8 is for CPUs'],
    ['onnx-webgpu', 'int8 is for CPUs'],
    ['onnx-cpu', 'model-int8.onnx', 'int8: the model has no exact artifact, no VNNI']
  ])
})

test('an artifact that says nothing of its precision is exact', () => {
  const { precision: _, ...silent } = manifest.artifacts.find(isOnnx) ?? assert.fail()
  const candidates = listCandidates(
    { ...manifest, artifacts: [silent] },
    { choice: 'onnx-cpu', precision: 'auto' },
    vnni
  )
  assert.deepEqual(candidates, [
    { engine: 'onnx-cpu', artifact: silent, precisionReason: 'exact: the model has no int8 artifact' }
  ])
})

for (const [precision, keeps] of [
  ['int8', (artifact: Artifact) => !isInt8(artifact)],
  ['exact', isInt8]
] as const) {
  test(`PRECISION=${precision} for a model without such an artifact is refused with the way out`, () => {
    assert.throws(() => tried(vnni, { precision }, keeps), {
      code: 'MODEL',
      message: `PRECISION=${precision}, but model "efficientnet-lite0" has no ${precision} artifact: use PRECISION=auto, or add one`
    })
  })
}

const cpus = {
  'Intel, Cascade Lake': ['x64', 'flags\t\t: fpu vme avx512f avx512_vnni md_clear', { found: 'avx512_vnni' }],
  'Intel, Alder Lake': ['x64', 'flags\t\t: fpu avx2 avx_vnni', { found: 'avx_vnni' }],
  'Intel, Sapphire Rapids': ['x64', 'flags : amx_bf16 avx512_vnni amx_int8', { found: 'avx512_vnni' }],
  'Intel, Haswell': ['x64', 'flags\t\t: fpu avx avx2 fma\nvmx flags\t: avx512_vnni', without],
  'a flag that only contains the name': ['x64', 'flags : not_avx_vnni avx_vnni_x', without],
  'ARM, Neoverse N1': ['arm64', 'Features\t: fp asimd asimddp', { found: 'asimddp' }],
  'ARM, Neoverse V1': ['arm64', 'Features\t: fp asimd asimddp i8mm', { found: 'i8mm' }],
  'ARM, Cortex-A72': ['arm64', 'Features\t: fp asimd crc32', { missing: 'no dot product instructions' }],
  'nothing that is known': ['riscv64', 'isa : rv64gc', { missing: 'none known for riscv64' }],
  'a file without flags': ['x64', '', without]
} as const

for (const [cpu, [arch, cpuinfo, expected]] of Object.entries(cpus)) {
  test(`of ${cpu}: ${Object.values(expected).join()}`, () => {
    assert.deepEqual(int8InstructionsIn(`processor\t: 0\nmodel name\t: it\n${cpuinfo}\nbugs\t: none\n`, arch), expected)
  })
}

test('a system that can’t be asked has none, and the reason names it', async () => {
  assert.deepEqual(await findInt8Instructions('win32', 'x64'), {
    missing: 'can’t tell the CPU’s instructions on win32 x64'
  })
})
