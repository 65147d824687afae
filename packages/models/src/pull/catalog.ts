import { readFile } from 'node:fs/promises'
import { Compile, Type, type Static } from '@streamsight/schema'
import { ModelError } from '../store/error.ts'
import type { Artifact } from '../store/manifest.ts'
import { nearestNames } from '@streamsight/service'
import { presetNames } from '../import/preprocessing.ts'
import { firstFault, modelNamePattern, preprocessingFields, relativePathPattern, Sha256 } from '../store/schema.ts'

const CatalogFile = Type.Object(
  {
    url: Type.String({ pattern: '^https?://.+' }),
    bytes: Type.Integer({ minimum: 1 }),
    sha256: Type.Optional(Sha256),
    md5: Type.Optional(Type.String({ pattern: '^[0-9a-f]{32}$', description: 'Where the publisher gives no sha256' })),
    as: Type.Optional(
      Type.String({
        pattern: relativePathPattern,
        description: 'Name of the file once it is here; the last part of the address if not given'
      })
    )
  },
  { additionalProperties: false }
)

/** How the files become a model: what `npm run model -- import` would be told. */
const ImportSettings = Type.Object(
  {
    format: Type.Union([
      Type.Literal('onnx'),
      Type.Literal('tfjs-layers'),
      Type.Literal('tfjs-graph'),
      Type.Literal('keras-h5'),
      Type.Literal('keras')
    ]),
    path: Type.String({ pattern: relativePathPattern, description: 'Which of the files is the model' }),
    labels: Type.Optional(
      Type.String({ pattern: relativePathPattern, description: 'Which of the files holds the labels' })
    ),
    architecture: Type.Optional(Type.String()),
    preprocessing: Type.Enum(presetNames),
    input: Type.Optional(Type.Partial(Type.Object(preprocessingFields, { additionalProperties: false }))),
    size: Type.Optional(
      Type.Object(
        { width: Type.Integer({ minimum: 1 }), height: Type.Integer({ minimum: 1 }) },
        { additionalProperties: false }
      )
    ),
    activation: Type.Union([Type.Literal('softmax'), Type.Literal('logits')])
  },
  { additionalProperties: false }
)

const CatalogEntry = Type.Object(
  {
    name: Type.String({ pattern: modelNamePattern.source }),
    version: Type.String({ minLength: 1 }),
    description: Type.String({ minLength: 1 }),
    license: Type.String({ minLength: 1 }),
    source: Type.String({ minLength: 1 }),
    files: Type.Array(CatalogFile, { minItems: 1 }),
    import: ImportSettings
  },
  { additionalProperties: false }
)

const Catalog = Type.Object({ models: Type.Array(CatalogEntry) }, { additionalProperties: false })

export type CatalogFile = Static<typeof CatalogFile>
export type CatalogEntry = Static<typeof CatalogEntry>
/** What a model file is before it is imported. */
export type SourceFormat = Artifact['format'] | 'keras-h5' | 'keras'

const schema = Compile(Catalog)

/** The models that can be pulled. Throws a ModelError that names the file and the first bad field. */
export async function readCatalog(path: string): Promise<CatalogEntry[]> {
  const value = await readJson(path)
  if (!schema.Check(value)) throw new ModelError(`${path}: ${firstFault(schema.Errors(value), 'catalog')}`)
  value.models.forEach((entry, index) => assertConsistent(entry, `${path}: field "models.${index}`))
  return value.models
}

/** The entry of this name; a ModelError says which names there are and which one may have been meant. */
export function findEntry(catalog: readonly CatalogEntry[], name: string): CatalogEntry {
  const entry = catalog.find(entry => entry.name === name)
  if (entry !== undefined) return entry
  const names = catalog.map(({ name }) => name)
  const [near] = nearestNames(name, names)
  throw new ModelError(
    `the catalog has no model "${name}"${near === undefined ? '.' : `: did you mean "${near}"?`} It has ${names.join(', ')}`
  )
}

/** Under which name a file of an entry is kept. */
export function localName({ url, as }: CatalogFile): string {
  return as ?? decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new ModelError(`${path}: can't read the catalog: ${(error as Error).message}`)
  }
}

/** What a schema can't say. */
function assertConsistent({ files, import: settings }: CatalogEntry, field: string): void {
  const names = files.map(localName)
  files.forEach((file, index) => {
    if (file.sha256 === undefined && file.md5 === undefined)
      throw new ModelError(`${field}.files.${index}" has neither "sha256" nor "md5": a download could not be checked`)
    if (names.indexOf(names[index] ?? '') !== index)
      throw new ModelError(`${field}.files.${index}" is kept as "${names[index]}", like another one: give it "as"`)
  })
  for (const key of ['path', 'labels'] as const) {
    const name = settings[key]
    if (name !== undefined && !names.includes(name))
      throw new ModelError(`${field}.import.${key}" is "${name}", which is none of its files: ${names.join(', ')}`)
  }
}
