import type { Model } from '@streamsight/models'
import { print, type Context, type ExitCode } from './context.ts'
import { formatBytes, formatScale, formatTable } from './format.ts'
import { openListed } from './models.ts'

/** `model show`: all that a manifest says, for people; with `json` as it is. */
export async function show(
  { name, modelsDir, json }: { name: string; modelsDir: string; json: boolean },
  context: Context
): Promise<ExitCode> {
  const model = await openListed(name, modelsDir)
  print(context, json ? JSON.stringify(model.manifest, null, 2) : describe(model))
  return 0
}

function describe({ dir, manifest, labels }: Model): string {
  const { name, version, license, source, input, output, assumed = [] } = manifest
  const { channels, fit, cropFraction, kernel, scale, mean, std } = input
  const mark = (...settings: string[]) => (settings.some(setting => assumed.includes(setting)) ? '  (assumed)' : '')
  const rows = [
    ['version', version],
    ['folder', dir],
    ['license', license],
    ['source', source],
    ['classes', `${output.classes}: ${labelsLine(labels)}${mark('labels', 'classes')}`],
    ['ends in', `${output.activation}${mark('activation')}`],
    ['pictures', `${input.width}x${input.height} ${channels}${mark('size', 'channels')}`],
    ['fit', `${fitLine(fit, cropFraction)}${mark('fit', 'cropFraction')}`],
    ['kernel', `${kernel}${mark('kernel')}`],
    ['input', `(pixel * ${formatScale(scale)} - mean) / std${mark('scale')}`],
    ['mean', `${mean.join(', ')}${mark('mean')}`],
    ['std', `${std.join(', ')}${mark('std')}`]
  ]
  const parts = [`${name}\n${indent(formatTable(rows))}`, `Artifacts\n${indent(artifactTable(manifest.artifacts))}`]
  return [...parts, ...(assumed.length === 0 ? [] : [assumedLine(assumed, name)])].join('\n\n')
}

function labelsLine(labels: Model['labels']): string {
  const shown = labels.slice(0, 3).map(({ label, id }) => (id === undefined ? label : `${label} (${id})`))
  return `${shown.join(', ')}${labels.length > shown.length ? ', …' : ''}`
}

function fitLine(fit: 'fill' | 'cover', cropFraction: number): string {
  const kept = cropFraction === 1 ? 'all of it' : `the middle ${Number((100 * cropFraction).toFixed(1))} %`
  return fit === 'fill' ? `fill: stretched, ${kept} kept` : `cover: the short side scaled, ${kept} kept of the square`
}

function artifactTable(artifacts: Model['manifest']['artifacts']): string {
  return formatTable([
    ['FORMAT', 'PRECISION', 'LAYOUT', 'FILES', 'SIZE', 'AGREEMENT'],
    ...artifacts.map(({ format, precision = 'float32', layout, files, agreement = [] }) => [
      format,
      precision,
      layout,
      files
        .map(({ path }) => path)
        .slice(0, 3)
        .join(', ') + (files.length > 3 ? ', …' : ''),
      formatBytes(files.reduce((sum, { bytes }) => sum + bytes, 0)),
      agreement.map(({ share, pictures }) => `${share} on ${pictures} pictures`).join('; ')
    ])
  ])
}

function assumedLine(assumed: string[], name: string): string {
  return (
    `Assumed, because neither a file nor a flag said it: ${assumed.join(', ')}. ` +
    `Prove it with "npm run model -- check ${name} --expect answers.json".`
  )
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}
