import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

const variable = 'STREAMSIGHT_TEST_MARK'

/** A mark in the environment of a process, which all that it starts inherit, whoever their parents are by then. */
export function createMark() {
  const value = randomUUID()
  return { env: { [variable]: value }, processes: () => processesWith(`${variable}=${value}`) }
}

/** Living processes with this in their environment, by id: their command lines. */
function processesWith(setting: string): Map<number, string> {
  const found = new Map<number, string>()
  for (const name of readdirSync('/proc').filter(entry => /^\d+$/.test(entry))) {
    const command = commandOf(name, setting)
    if (command !== undefined) found.set(Number(name), command)
  }
  return found
}

function commandOf(pid: string, setting: string): string | undefined {
  try {
    if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(setting)) return undefined
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
  } catch {
    // It has ended meanwhile, or is somebody else's.
    return undefined
  }
}
