import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { assertNode, root, supportedNodes } from '../scripts/bootstrap.js'

test('the range in package.json is of a kind that assertNode reads, and this Node is in it', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } }
  assert.equal(
    supportedNodes()
      .map(({ major, minor }) => `^${major}.${minor}.0`)
      .join(' || '),
    engines.node
  )
  assert.doesNotThrow(assertNode)
})
