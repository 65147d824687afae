import { basename } from 'node:path'
import { verifyModel } from '@streamsight/models'
import { print, type Context, type ExitCode } from './context.ts'
import { assertListed } from './models.ts'

/** `model verify`: file by file, so that a damaged one is found among many. */
export async function verify(
  { name, modelsDir }: { name: string; modelsDir: string },
  context: Context
): Promise<ExitCode> {
  await assertListed(name, modelsDir)
  let faults = 0
  for await (const { path, of, fault } of verifyModel(modelsDir, name)) {
    if (fault !== undefined) faults++
    print(
      context,
      fault === undefined ? `ok      ${basename(path)} (${of})` : `FAULTY  ${basename(path)} (${of}): ${fault}`
    )
  }
  print(
    context,
    faults === 0 ? `${name} is as its manifest says.` : `${name} can't be served: pull or import it again with --force.`
  )
  return faults === 0 ? 0 : 1
}
