import { precisionOf, type Model } from '@streamsight/models'
import { limits, readWorkers, type Connection, type ModelDescription, type ModelKeys } from '@streamsight/protocol'
import type { Logger } from '@streamsight/service'

/** What clients may know of a model. */
export function describeModel({ manifest, labels }: Model): ModelDescription {
  const { width: _width, height: _height, ...preprocessing } = manifest.input
  return {
    license: manifest.license,
    source: manifest.source,
    preprocessing,
    assumed: manifest.assumed ?? [],
    artifacts: manifest.artifacts.map(artifact => {
      const { format, quantization, agreement } = artifact
      return {
        format,
        precision: precisionOf(artifact),
        ...(quantization === undefined ? {} : { quantization }),
        ...(agreement === undefined ? {} : { agreement })
      }
    }),
    labels
  }
}

/**
 * Two versions under one name take jobs from one stream, so either may answer a request. Says so at start, though an
 * operator may have meant a roll-out. Never fails: a Redis role without these reads must not stop a worker.
 */
export async function warnOfOtherVersions(
  commands: Connection,
  keys: ModelKeys,
  { model, version, log }: { model: string; version: string; log: Logger }
): Promise<void> {
  try {
    const seen = await readWorkers(commands, keys)
    const others = seen.filter(
      worker => worker.model.version !== version && worker.state !== 'draining' && worker.silentMs < limits.workerSeenMs
    )
    if (others.length === 0) return
    const versions = [...new Set(others.map(worker => worker.model.version))].toSorted()
    log.warn(
      { event: 'other-version', model, version, others: versions, workers: others.map(({ name }) => name) },
      `Model ${model} is also served in version ${versions.join(', ')}: requests are answered by either version in turn`
    )
  } catch (error) {
    log.warn({ event: 'other-version', model, err: error }, 'Could not look for other versions of this model')
  }
}
