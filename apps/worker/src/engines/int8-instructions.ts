import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Whether this CPU is one for int8: the instruction found for it, or what it lacks. */
export type Int8Instructions = { found: string } | { missing: string }

/**
 * Instructions that add products of bytes in 32 bits, as `/proc/cpuinfo` calls them. Without them ONNX Runtime on x86
 * adds pairs of uint8 × int8 products in 16 bits, which saturates: wrong scores and no error. On ARM it is only slow.
 */
const wanted: Record<string, { names: string[]; missing: string }> = {
  x64: { names: ['avx512_vnni', 'avx_vnni', 'amx_int8'], missing: 'no VNNI' },
  arm64: { names: ['i8mm', 'asimddp'], missing: 'no dot product instructions' }
}

/** What macOS calls those of ARM. */
const sysctlNames = ['hw.optional.arm.FEAT_I8MM', 'hw.optional.arm.FEAT_DotProd']

/** Looks at the CPU of this machine. Where a system can't be asked, none is found. */
export async function findInt8Instructions(platform: string, arch: string): Promise<Int8Instructions> {
  if (platform === 'linux')
    return await readFile('/proc/cpuinfo', 'utf8').then(
      text => int8InstructionsIn(text, arch),
      (error: Error) => ({ missing: `can’t tell the CPU’s instructions: ${error.message}` })
    )
  if (platform === 'darwin' && arch === 'arm64') return await askSysctl()
  return { missing: `can’t tell the CPU’s instructions on ${platform} ${arch}` }
}

/** The same from the text of `/proc/cpuinfo`: its first line `flags` (x86) or `Features` (ARM); cores don't differ. */
export function int8InstructionsIn(cpuinfo: string, arch: string): Int8Instructions {
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/))
  const { names, missing } = wanted[arch] ?? { names: [], missing: `none known for ${arch}` }
  const found = names.find(name => flags.has(name))
  return found === undefined ? { missing } : { found }
}

async function askSysctl(): Promise<Int8Instructions> {
  for (const name of sysctlNames) {
    // A name that this macOS doesn't know is an error of sysctl, and means the same as 0.
    const { stdout } = await promisify(execFile)('sysctl', ['-n', name]).catch(() => ({ stdout: '0' }))
    if (stdout.trim() === '1') return { found: name.replace('hw.optional.arm.', '') }
  }
  return { missing: 'no dot product instructions' }
}
