import type { Imported } from '@streamsight/models/import'
import { print, type Context } from './context.ts'
import { formatBytes } from './format.ts'

/** What was made, what had to be assumed for it, and how to serve it. */
export function reportImported({ model: { dir, manifest }, assumed, notes }: Imported, context: Context): void {
  for (const line of [...assumed, ...notes]) print(context, `  note: ${line}`)
  const { name, version, input, output, artifacts } = manifest
  print(
    context,
    `Made ${dir}: version ${version}, ${output.classes} classes, pictures of ${input.width}x${input.height}, ends in ${output.activation}.`
  )
  for (const { format, files } of artifacts)
    print(
      context,
      `  ${format}: ${files.length} file${files.length === 1 ? '' : 's'}, ${formatBytes(files.reduce((sum, { bytes }) => sum + bytes, 0))}, verified`
    )
  print(context, `Serve it with: MODELS=${name} npm start`)
}
