import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { root } from '../../scripts/bootstrap.js'
import { temporaryFolder } from './folder.ts'

/** A folder, outside the checkout, of the model everyday and one that has the same weights and shouts its labels. */
export function twoModels(t: TestContext): string {
  const folder = temporaryFolder(t)
  for (const name of ['everyday', 'loud'])
    cpSync(join(root, 'models/everyday'), join(folder, name), { recursive: true })
  rewrite(join(folder, 'loud/manifest.json'), text =>
    text.replace('"everyday"', '"loud"').replace('"version": "1"', '"version": "2"')
  )
  rewrite(join(folder, 'loud/labels.txt'), text => text.toUpperCase())
  return folder
}

function rewrite(path: string, edit: (text: string) => string): void {
  writeFileSync(path, edit(readFileSync(path, 'utf8')))
}
