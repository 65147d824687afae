/** Runs a command of the project that needs the packages and the build, from a bare clone too: `node scripts/launch.js <arguments for node>`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { assertNode, build, installPackages, root, run } from './bootstrap.js'

async function main() {
  assertNode()
  const envFile = join(root, '.env')
  if (existsSync(envFile)) process.loadEnvFile(envFile)
  await installPackages()
  await build({ quiet: true })
  const child = spawn(process.execPath, process.argv.slice(2), { cwd: root, stdio: 'inherit' })
  // Ctrl-C reaches the command too, which has something to say before it ends; what is sent to us alone is passed on.
  process.on('SIGINT', () => {})
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  process.exit(code ?? 1)
}

await run(main)
