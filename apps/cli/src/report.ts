import { flags, showSettings, type ShownSetting, type Source } from '@streamsight/models/settings'
import type { Imported } from '@streamsight/models/import'
import { print, type Context } from './context.ts'
import { formatBytes } from './format.ts'

/** What was made, where each setting comes from, and how to serve it. What was assumed stands together at the end. */
export function reportImported({ model: { dir, manifest }, settings, notes }: Imported, context: Context): void {
  for (const line of notes) print(context, `  note: ${line}`)
  const { name, version, input, output, artifacts } = manifest
  print(
    context,
    `Made ${dir}: version ${version}, ${output.classes} classes, pictures of ${input.width}x${input.height}, ends in ${output.activation}.`
  )
  for (const { format, files } of artifacts) {
    const bytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const count = `${files.length} file${files.length === 1 ? '' : 's'}`
    print(context, `  ${format}: ${count}, ${formatBytes(bytes)}, verified and run`)
  }
  const lines = showSettings(settings)
  for (const source of ['read', 'given'] as const) reportKnown(source, lines, context)
  print(context, `Serve it with: MODELS=${name} npm start`)
  reportAssumed(lines, context)
}

/** One line for each place that settings come from. */
function reportKnown(source: Source, lines: ShownSetting[], context: Context): void {
  const known = lines.filter(line => line.source === source)
  for (const place of new Set(known.map(({ from }) => from))) {
    const group = known.filter(({ from }) => from === place)
    print(context, `  ${source} (${place}): ${group.map(({ name, value }) => `${name} ${value}`).join(', ')}`)
  }
}

function reportAssumed(lines: ShownSetting[], context: Context): void {
  const assumed = lines.filter(({ source }) => source === 'assumed')
  if (assumed.length === 0) return
  print(context, 'Assumed: neither in the file nor given. A wrong one costs accuracy without an error; check each:')
  for (const { name, value, from } of assumed)
    print(context, `  ${name.padEnd(12)} ${value.padEnd(20)} ${flags[name].padEnd(16)} (${from})`)
}
