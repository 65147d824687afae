import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openModel, type Artifact, type Input, type Manifest, type Model } from '@streamsight/models'
import { startInference, type Inference } from '../../dist/engines/inference.js'
import { root } from './pictures.ts'

/** A folder for models that ends with the test. */
export function temporaryModels(t: Pick<TestContext, 'after'>): string {
  const dir = mkdtempSync(join(tmpdir(), 'streamsight-models-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A copy of the model everyday to damage, and the folder it lies in. */
export function copyOfEveryday(t: Pick<TestContext, 'after'>): { models: string; dir: string } {
  const models = temporaryModels(t)
  const dir = join(models, 'everyday')
  cpSync(join(root, 'models/everyday'), dir, { recursive: true })
  return { models, dir }
}

/** Changes one byte in the middle of a file; its length stays. */
export function flipByte(path: string): void {
  const bytes = readFileSync(path)
  const middle = Math.floor(bytes.length / 2)
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff
  writeFileSync(path, bytes)
}

export function editManifest(dir: string, edit: (manifest: Manifest) => void): void {
  const path = join(dir, 'manifest.json')
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest
  edit(manifest)
  writeFileSync(path, JSON.stringify(manifest))
}

export interface ModelFiles {
  name: string
  input: Input
  activation: Manifest['output']['activation']
  labels: string[]
  artifact: Omit<Artifact, 'files'>
  /** By path within the model's directory. */
  files: Record<string, Uint8Array>
}

/** Writes a model with its manifest into the folder `models`, and opens it. */
export async function writeModel(
  models: string,
  { name, input, activation, labels, artifact, files }: ModelFiles
): Promise<Model> {
  const dir = join(models, name)
  mkdirSync(dir)
  const listed = Object.entries(files).map(([path, content]) => {
    writeFileSync(join(dir, path), content)
    return { path, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }
  })
  writeFileSync(join(dir, 'labels.txt'), labels.join('\n'))
  const manifest: Manifest = {
    name,
    version: '1',
    license: 'not ours',
    source: 'a test',
    input,
    output: { activation, classes: labels.length },
    labels: 'labels.txt',
    artifacts: [{ ...artifact, files: listed }]
  }
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest))
  return await openModel(models, name)
}

/** The files of a folder of which `wanted` is true, for `writeModel`. */
export function filesOf(folder: string, wanted: (file: string) => boolean): Record<string, Uint8Array> {
  return Object.fromEntries(
    readdirSync(folder)
      .filter(wanted)
      .map(file => [file, readFileSync(join(folder, file))])
  )
}

/** An engine that ends with the test. */
export async function start(
  t: Pick<TestContext, 'after'>,
  options: Parameters<typeof startInference>[0]
): Promise<Inference> {
  const inference = await startInference(options)
  t.after(() => inference.close())
  return inference
}
