/**
 * `npm run test:node`: runs the tests on every Node that package.json allows, the oldest release and the newest of
 * each major version. `npm run test:node -- <files>` runs only those tests. npm's package `node` brings the binaries.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { installPackages, root, run, say, supportedNodes } from './bootstrap.js'

async function main() {
  await installPackages()
  const results = []
  // Of the first, which is the oldest that we support, its first minor release; of the others the newest.
  for (const [index, { major, minor }] of supportedNodes().entries())
    results.push(await testOn(index === 0 ? `${major}.${minor}` : `${major}`))
  say(
    `\n\n${results.map(({ version, code }) => `  Node ${version}: ${code === 0 ? 'passed' : 'FAILED'}`).join('\n')}\n`
  )
  process.exit(results.every(({ code }) => code === 0) ? 0 : 1)
}

/** @param {string} version */
async function testOn(version) {
  say(`testing on Node ${version} …`)
  // npm puts that Node before all others, so that what the tests start runs on it too.
  const child = spawn(
    'npm',
    ['exec', '--yes', `--package=node@${version}`, '--', 'node', 'scripts/test.js', ...process.argv.slice(2)],
    { cwd: root, stdio: 'inherit' }
  )
  const [code] = await once(child, 'exit')
  return { version, code }
}

await run(main)
