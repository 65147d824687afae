import { findEntry, readCatalog, type CatalogEntry } from '@streamsight/models/catalog'
import { createNetwork } from '@streamsight/models/http'
import { pullModel, type Pulled } from '@streamsight/models/pull'
import { print, type Context, type ExitCode } from './context.ts'
import { formatBytes, formatSeconds } from './format.ts'
import { createProgress } from './progress.ts'
import { reportImported } from './report.ts'
import { tryModel } from './trial.ts'

export interface PullArguments {
  name: string
  modelsDir: string
  catalog: string
  force: boolean
}

/** `model pull`: from the catalog to a model that can be served. */
export async function pull({ name, modelsDir, catalog, force }: PullArguments, context: Context): Promise<ExitCode> {
  const entry = findEntry(await readCatalog(catalog), name)
  const pulled = await pullWithProgress(entry, { modelsDir, force }, context)
  if (pulled.state === 'present')
    print(
      context,
      `${pulled.model.dir} is there already, version ${pulled.model.manifest.version}, and as its manifest says. ` +
        'Nothing was downloaded; --force would replace it.'
    )
  else reportImported(pulled, context)
  return 0
}

async function pullWithProgress(
  entry: CatalogEntry,
  options: { modelsDir: string; force: boolean },
  context: Context
): Promise<Pulled> {
  const network = createNetwork(proxiesOf(context.env))
  const progress = createProgress(entry.name, context.output)
  let received: number | undefined
  try {
    return await pullModel(entry, {
      ...options,
      network,
      signal: context.signal,
      trial: model => tryModel(model, context.signal),
      onProgress(bytes, total) {
        if (received === undefined) progress.say(opening(entry, bytes, total))
        received = bytes
        progress.update(bytes, total)
      },
      onRetry: (reason, pauseMs) =>
        progress.say(`${reason}; trying again${pauseMs > 0 ? ` in ${formatSeconds(pauseMs / 1_000)}` : ''}`),
      onDownloaded() {
        progress.stop()
        progress.say('Downloaded and checked. Making the model …')
      }
    })
  } catch (error) {
    progress.stop()
    if (context.signal.aborted)
      print(
        context,
        `Stopped. ${formatBytes(received ?? 0)} are kept in ${options.modelsDir}/.downloads: the same command goes on from there.`
      )
    throw error
  } finally {
    await network.close()
  }
}

function opening({ name, version, files }: CatalogEntry, received: number, total: number): string {
  const hosts = [...new Set(files.map(({ url }) => new URL(url).host))].join(' and ')
  const already = received > 0 ? `; ${formatBytes(received)} are here already` : ''
  return `Pulling ${name} ${version}: ${formatBytes(total)} from ${hosts}${already}`
}

/** Lower case first, as curl has it. */
function proxiesOf(env: Context['env']) {
  return {
    httpProxy: env['http_proxy'] ?? env['HTTP_PROXY'],
    httpsProxy: env['https_proxy'] ?? env['HTTPS_PROXY'],
    noProxy: env['no_proxy'] ?? env['NO_PROXY']
  }
}
