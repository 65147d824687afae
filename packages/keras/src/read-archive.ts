import { recognize } from './architectures.ts'
import { buildNetwork } from './build.ts'
import { isConfig } from './config.ts'
import { KerasError } from './error.ts'
import { forFile, majorVersion } from './file.ts'
import { withH5Bytes } from './h5.ts'
import { type Network } from './ir.ts'
import { parseConfig, type ReadOptions } from './read-h5.ts'
import { storedWeights } from './stored.ts'
import { readTopology } from './topology.ts'

/** What a `.keras` file, a zip, holds: of Keras 3, and of TensorFlow 2.12 on. */
export interface KerasArchive {
  /** config.json */
  config: Uint8Array
  /** metadata.json */
  metadata?: Uint8Array | undefined
  /** model.weights.h5 */
  weights: Uint8Array
}

/** The network in a `.keras` file that was unpacked; `path` is for messages. Throws a KerasError as `readKerasH5` does. */
export async function readKerasArchive(
  path: string,
  archive: KerasArchive,
  options: ReadOptions = {}
): Promise<Network> {
  return await withH5Bytes(`${path}: model.weights.h5`, archive.weights, root =>
    forFile(path, () => {
      const model = parseConfig(new TextDecoder().decode(archive.config))
      const topology = readTopology(model, options)
      return buildNetwork({
        ...options,
        topology,
        weights: storedWeights(root, model, topology.layers),
        kerasVersion: majorVersion(versionOf(archive)),
        architecture: recognize(topology.layers)
      })
    })
  )
}

function versionOf({ metadata }: KerasArchive): unknown {
  if (metadata === undefined) throw new KerasError('it has no metadata.json, which says what version of Keras wrote it')
  const parsed = parseConfig(new TextDecoder().decode(metadata))
  return isConfig(parsed) ? parsed['keras_version'] : undefined
}
