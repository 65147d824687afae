import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A Python environment beside the project, which git ignores, and the file of its pinned packages. */
export interface Environment {
  folder: string
  requirements: string
}

export function pythonOf({ folder }: Environment): string {
  return join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
}

/** Installs the packages, once: they take 1 to 2 GB. Gives the reason if they can't be had here. */
export function prepareEnvironment({ folder, requirements }: Environment): string | undefined {
  const installed = join(folder, 'requirements.txt')
  if (existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync(requirements, 'utf8')) return undefined
  if (!succeeds('python3', ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 9))']))
    return 'there is no python3 from 3.9 on with venv'
  if (!succeeds('python3', ['-m', 'venv', '--clear', folder])) return 'python3 could not make a virtual environment'
  console.log(`installing ${basename(requirements)} into ${basename(folder)} …`)
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]
  if (!succeeds(pythonOf({ folder, requirements }), install)) return `pip could not install ${requirements}`
  copyFileSync(requirements, installed)
  return undefined
}

function succeeds(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
