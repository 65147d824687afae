import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CatalogEntry } from '../src/pull/catalog.ts'

export const root = join(import.meta.dirname, '../../..')
export const everyday = join(root, 'models/everyday')
export const assets = join(root, '../shared/assets')

/** Why tests that need an asset are left out here; false where it is present. */
export function without(asset: string): string | false {
  return existsSync(join(assets, asset)) ? false : `needs ../shared/assets/${asset}, which is not here`
}

export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const dir = mkdtempSync(join(tmpdir(), 'streamsight-models-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Every file below a folder, hidden ones too, relative to it. */
export function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted()
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** The files of everyday as a download server has them. */
export function everydayFiles(...names: string[]): Record<string, Buffer> {
  return Object.fromEntries(names.map(name => [`/${name}`, readFileSync(join(everyday, name))]))
}

type ImportSettings = CatalogEntry['import']

/** A catalog entry for files on a server. */
export function entryOf(
  url: string,
  files: Record<string, Buffer>,
  settings: Partial<ImportSettings> = {}
): CatalogEntry {
  return {
    name: 'pulled',
    version: '7',
    description: 'the default model once more',
    license: 'MIT',
    source: 'a test',
    files: Object.entries(files).map(([path, content]) => ({
      url: url + path,
      bytes: content.length,
      sha256: sha256(content)
    })),
    import: {
      format: 'onnx',
      path: 'model.onnx',
      labels: 'labels.txt',
      preprocessing: 'unit',
      activation: 'softmax',
      ...settings
    }
  }
}
