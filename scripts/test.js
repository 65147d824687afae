/** `npm test`: from a bare clone to one summary. `npm test -- <files>` runs only those tests; FAULTS=all none but the faults, and all of them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { assertNode, build, endQuietly, installPackages, root, run, runQuietly, say } from './bootstrap.js'
import { ensureRedis } from './redis.js'

/** Outside of test/faults, what tries more with FAULTS=all. */
const alsoInFull = [
  'packages/protocol/test/model.test.ts',
  'apps/cli/test/check.test.ts',
  'test/accuracy.test.ts',
  'test/fuzz.test.ts',
  'test/fuzz-models.test.ts'
]

async function main() {
  assertNode()
  await installPackages()
  await ensureRedis()
  say('checking style …')
  await Promise.all([check('format:check'), check('lint'), build()]).finally(endQuietly)
  say('checking types …')
  await check('typecheck')

  const chosen = process.argv.slice(2)
  const onlyFaults = process.env['FAULTS'] === 'all'
  const files = chosen.length > 0 ? chosen : onlyFaults ? [...testsIn('test/faults'), ...alsoInFull] : everyTest()
  // Tests wait as much as they compute: three keep two cores busy. The faults under load want the machine to themselves.
  const concurrency = onlyFaults ? 1 : 3
  say(`running ${files.length} test files …`)
  const child = spawn(process.execPath, ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, ...files], {
    cwd: root,
    stdio: 'inherit'
  })
  const [code] = await once(child, 'exit')
  process.exit(code ?? 1)
}

/** @param {string} script */
function check(script) {
  return runQuietly('npm', ['run', '--silent', script])
}

function everyTest() {
  // The long ones first, so that at the end no core waits for one of them.
  return [
    ...testsIn('test'),
    ...testsIn('test/faults'),
    ...workspaces().flatMap(folder => testsIn(join(folder, 'test')))
  ]
}

function workspaces() {
  return ['packages', 'apps'].flatMap(parent => readdirSync(join(root, parent)).map(name => join(parent, name)))
}

/** @param {string} folder */
function testsIn(folder) {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder))
    .filter(file => file.endsWith('.test.ts'))
    .map(file => join(folder, file))
}

await run(main)
