import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { temporaryFolder } from './folder.ts'

/** A folder, outside the checkout, of the model everyday and one that has the same weights and shouts its labels. */
export function twoModels(t: TestContext): string {
  const folder = temporaryFolder(t)
  everydayAs(join(folder, 'everyday'), {})
  everydayAs(join(folder, 'loud'), { version: '2', labels: labels => labels.toUpperCase() })
  return folder
}

/** A copy of the model everyday, called as its directory is, with another version or labels. */
export function everydayAs(
  dir: string,
  { version = '1', labels = text => text }: { version?: string; labels?: (text: string) => string }
): void {
  cpSync(join(root, 'models/everyday'), dir, { recursive: true })
  rewrite(join(dir, 'manifest.json'), text => JSON.stringify({ ...JSON.parse(text), name: basename(dir), version }))
  rewrite(join(dir, 'labels.txt'), labels)
}

function rewrite(path: string, edit: (text: string) => string): void {
  writeFileSync(path, edit(readFileSync(path, 'utf8')))
}
