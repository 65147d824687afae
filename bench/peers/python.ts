import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BootstrapError, root, runQuietly, say } from '../../scripts/bootstrap.js'

/** The interpreter of an environment that has the peers' packages, or in a line why there is none. */
export type Python = { interpreter: string } | { missing: string }

const requirements = join(root, 'bench', 'peers', 'requirements.txt')

/** Makes the environment unless it is there with these very requirements. TensorFlow is most of its 1.7 GB. */
export async function ensurePython({ folder = join(root, '.venv-bench'), program = 'python3' } = {}): Promise<Python> {
  const interpreter = join(folder, 'bin', 'python')
  const stamp = join(folder, 'requirements.sha256')
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return { interpreter }

  say(`installing what the Python peers need into ${folder}, 1.7 GB …`)
  try {
    await runQuietly(program, ['-m', 'venv', '--clear', folder])
    await runQuietly(interpreter, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-cache-dir',
      '--disable-pip-version-check',
      '--requirement',
      requirements
    ])
  } catch (error) {
    return { missing: reasonOf(error) }
  }
  writeFileSync(stamp, wanted)
  return { interpreter }
}

/** pip says a lot; its first line that begins with ERROR names the cause. */
function reasonOf(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'there is no python3 on the PATH'
  if (!(error instanceof BootstrapError)) return (error as Error).message
  const lines = error.message.split('\n')
  return lines.find(line => line.startsWith('ERROR')) ?? lines.find(line => line.trim() !== '') ?? 'unknown'
}
