/**
 * Where what may be imported. A library that has an owner here is spoken to in one place, so that it can be changed
 * in one place.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { parseSync } from 'oxc-parser'
import { root } from '../scripts/bootstrap.js'

/**
 * The files, or the folders with a `/` at the end, whose code may import a library; a `/` at its own end means all of
 * a scope.
 */
const owners: Record<string, string[]> = {
  fastify: ['apps/gateway/src/'],
  '@fastify/': ['apps/gateway/src/'],
  'prom-client': ['apps/gateway/src/metrics.ts'],
  redis: ['packages/protocol/src/'],
  sharp: ['apps/worker/src/pixels/'],
  jimp: ['apps/worker/src/pixels/'],
  piscina: ['apps/worker/src/pixels/'],
  'onnxruntime-node': ['apps/worker/src/engines/onnx.ts'],
  '@tensorflow/': ['apps/worker/src/engines/tfjs.ts'],
  commander: ['apps/cli/src/'],
  'cli-progress': ['apps/cli/src/'],
  '@jimp/': ['apps/worker/src/pixels/'],
  'libheif-js': ['apps/worker/src/pixels/'],
  h5wasm: ['packages/keras/src/'],
  undici: ['packages/models/src/pull/'],
  pino: ['packages/service/src/'],
  'pino-pretty': ['packages/service/src/'],
  'env-schema': ['packages/service/src/'],
  typebox: ['packages/schema/src/'],
  'close-with-grace': ['apps/cli/src/main.ts', 'apps/gateway/src/main.ts', 'apps/worker/src/main.ts']
}

interface Package {
  name: string
  folder: string
  /** What its code may import, and what its tests may besides. */
  dependencies: Set<string>
  devDependencies: Set<string>
}

interface Import {
  file: string
  specifier: string
}

const workspaces = ['apps', 'packages'].flatMap(parent =>
  readdirSync(join(root, parent)).map(name => readPackage(join(parent, name)))
)
/** The root may use all workspaces: it says so with `workspaces`. */
const everything = readPackage(
  '.',
  workspaces.map(({ name }) => name)
)
const sources = workspaces.flatMap(({ folder }) => importsIn(join(folder, 'src')))
const tests = [...workspaces.map(({ folder }) => join(folder, 'test')), 'test', 'bench', 'scripts'].flatMap(importsIn)

test('a library that has an owner is imported by its owner alone', () => {
  assert.ok(sources.length > 100)
  const strays = sources.filter(({ file, specifier }) => {
    const [, allowed] =
      Object.entries(owners).find(([library]) =>
        library.endsWith('/') ? specifier.startsWith(library) : nameOf(specifier) === library
      ) ?? []
    return (
      allowed !== undefined && !allowed.some(place => (place.endsWith('/') ? file.startsWith(place) : file === place))
    )
  })
  assert.deepEqual(strays, [])
})

test('every owner in the table is one', () => {
  const unused = Object.entries(owners).flatMap(([library, places]) =>
    sources.some(({ file, specifier }) => specifier.startsWith(library) && places.some(place => file.startsWith(place)))
      ? []
      : [library]
  )
  assert.deepEqual(unused, [])
})

test('an app imports no other app, and no workspace reaches into another past its exports', () => {
  const apps = workspaces.filter(({ folder }) => folder.startsWith('apps')).map(({ name }) => name)
  assert.deepEqual(
    sources.filter(({ specifier }) => apps.includes(nameOf(specifier))),
    []
  )
  const beyond = sources.filter(({ file, specifier }) => {
    const own = workspaces.find(({ folder }) => file.startsWith(`${folder}/`))?.folder ?? ''
    return specifier.startsWith('.') && !normalize(join(dirname(file), specifier)).startsWith(`${own}/src/`)
  })
  assert.deepEqual(beyond, [])
})

test('what code imports is declared in its own package.json, and what tests import too', () => {
  assert.deepEqual(
    [
      ...undeclared(sources, ({ dependencies }) => dependencies),
      ...undeclared(tests, ({ dependencies, devDependencies }) => new Set([...dependencies, ...devDependencies]))
    ],
    []
  )
})

function undeclared(imports: Import[], declared: (of: Package) => Set<string>): string[] {
  const missing = imports.flatMap(({ file, specifier }) => {
    const name = nameOf(specifier)
    if (specifier.startsWith('.') || specifier.startsWith('node:')) return []
    const owner = workspaces.find(({ folder }) => file.startsWith(`${folder}/`)) ?? everything
    return name === owner.name || declared(owner).has(name) ? [] : [`${owner.folder}: ${name}`]
  })
  return [...new Set(missing)]
}

/** Of a path in a package its name: the first part, or the first two where there is a scope. */
function nameOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function readPackage(folder: string, declared: string[] = []): Package {
  const file = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    name: string
    dependencies?: object
    optionalDependencies?: object
    devDependencies?: object
  }
  return {
    name: file.name,
    folder,
    dependencies: new Set(Object.keys({ ...file.dependencies, ...file.optionalDependencies })),
    devDependencies: new Set([...declared, ...Object.keys(file.devDependencies ?? {})])
  }
}

/** Every import of the folder's files, dynamic ones and types too, as far as it is written down as text. */
function importsIn(folder: string): Import[] {
  if (!existsSync(join(root, folder))) return []
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return files
    .filter(file => /\.[jt]s$/.test(file))
    .flatMap(name => {
      const file = join(folder, name)
      const text = readFileSync(join(root, file), 'utf8')
      const { module, errors } = parseSync(file, text)
      assert.deepEqual(errors, [], file)
      const specifiers = [
        ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
        ...module.staticExports.flatMap(({ entries }) =>
          entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? [])
        ),
        ...module.dynamicImports.flatMap(
          ({ moduleRequest: { start, end } }) => /^['"](.*)['"]$/.exec(text.slice(start, end))?.[1] ?? []
        )
      ]
      return specifiers.map(specifier => ({ file, specifier }))
    })
}

test('node’s own modules are named as such', () => {
  assert.deepEqual(
    [...sources, ...tests].filter(({ specifier }) => builtinModules.includes(specifier)),
    []
  )
})
