import { listModels, type Listed, type Model } from '@streamsight/models'
import { readCatalog, type CatalogEntry } from '@streamsight/models/catalog'
import { print, type Context, type ExitCode } from './context.ts'
import { formatBytes, formatTable } from './format.ts'

/** `model list`: what is in the folder of models, and what the catalog could add. */
export async function list(
  { modelsDir, catalog, json }: { modelsDir: string; catalog: string; json: boolean },
  context: Context
): Promise<ExitCode> {
  const listed = await listModels(modelsDir)
  if (json) {
    print(context, JSON.stringify(listed.map(asJson), null, 2))
    return 0
  }
  print(context, listed.length === 0 ? `No models in ${modelsDir}.` : `Models in ${modelsDir}:\n`)
  if (listed.length > 0)
    print(
      context,
      formatTable([['NAME', 'VERSION', 'CLASSES', 'INPUT', 'ARTIFACTS', 'SIZE', 'STATE'], ...listed.map(row)])
    )
  for (const model of listed) {
    if (model.state === 'broken') print(context, `\n${model.name} is broken: ${model.fault}`)
    else if (model.model.manifest.assumed !== undefined) print(context, `\n${assumedLine(model.model)}`)
  }

  const others = (await readCatalog(catalog)).filter(({ name }) => !listed.some(model => model.name === name))
  if (others.length > 0)
    print(
      context,
      `\nAvailable with "npm run model -- pull <name>":\n\n${formatTable([catalogHead, ...others.map(catalogRow)])}`
    )
  return 0
}

function row(listed: Listed): string[] {
  if (listed.state === 'broken') return [listed.name, '', '', '', '', '', 'broken']
  const {
    manifest: { version, output, input, artifacts }
  } = listed.model
  return [
    listed.name,
    version,
    String(output.classes),
    `${input.width}x${input.height}`,
    artifacts.map(artifactName).join(', '),
    formatBytes(sizeOf(listed.model)),
    'ready'
  ]
}

function artifactName({ format, precision = 'float32' }: Model['manifest']['artifacts'][number]): string {
  return precision === 'float32' ? format : `${format} ${precision}`
}

/** What the import could neither read nor was given: a wrong one costs accuracy without an error. */
function assumedLine({ manifest: { name, assumed = [] } }: Model): string {
  return `${name}: assumed ${assumed.join(', ')}; "npm run model -- check ${name}" can prove it`
}

function asJson(listed: Listed) {
  return listed.state === 'broken' ? listed : { state: listed.state, ...listed.model.manifest }
}

/** A file that two artifacts share counts once. */
function sizeOf({ manifest }: Model): number {
  const files = new Map(
    manifest.artifacts.flatMap(({ files }) => files.map(({ path, bytes }) => [path, bytes] as const))
  )
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0)
}

const catalogHead = ['NAME', 'VERSION', 'DOWNLOAD', 'LICENSE', 'WHAT']

function catalogRow({ name, version, files, license, description }: CatalogEntry): string[] {
  return [name, version, formatBytes(files.reduce((sum, { bytes }) => sum + bytes, 0)), license, description]
}
