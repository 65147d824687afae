import { availableParallelism } from 'node:os'
import { openModel, type Model } from '@streamsight/models'
import type { Logger } from '@streamsight/service'
import type { Config } from './config.ts'
import { startInference, type Inference } from './engines/inference.ts'
import { createDecoder } from './pixels/decode.ts'
import { withinMemory } from './pixels/decode-memory.ts'
import type { Decoder } from './pixels/decoder.ts'
import { withWatchdog, type OnWedged } from './watchdog.ts'

/** On these libvips' work is done, unless UV_THREADPOOL_SIZE says otherwise. */
const libuvThreads = 4

/** Loading a gigabyte from a slow disk and starting CUDA take a minute; what takes longer than this hangs. */
const loadMs = 180_000

/**
 * A model from disk, the engine that runs it, and the decoder that makes its pixels. `output.activation` in its
 * manifest is that of the artifact which runs.
 */
export interface LoadedModel {
  model: Model
  inference: Inference
  decoder: Decoder
}

export interface LoadOptions {
  config: Config
  log: Logger
  onWedged: OnWedged
  /** Put around the real parts by the fault suite, which breaks them. */
  wrap: { decoder?: (decoder: Decoder) => Decoder; inference?: (inference: Inference) => Inference }
}

/** Rejects with a reason a person can act on if the model is damaged or no engine can run it. */
export async function loadModel(name: string, { config, log, onWedged, wrap }: LoadOptions): Promise<LoadedModel> {
  const model = await openModel(config.MODELS_DIR, name)
  const threads = config.ENGINE_THREADS || availableParallelism()
  const engine = await withWatchdog(
    { what: `loading model ${name}`, ms: loadMs, onWedged },
    startInference({ model, choice: config.ENGINE, precision: config.PRECISION, threads })
  )
  const inference = wrap.inference?.(engine) ?? engine
  const { name: engineName, precision, precisionReason, rejected } = inference
  log.info(
    { event: 'engine', engine: engineName, precision, precisionReason, model: name, threads, rejected },
    `Model ${name} runs on ${engineName} in ${precision} (${precisionReason})`
  )
  const pixels = await createDecoder(model.manifest.input)
  const decoder = withinMemory(wrap.decoder?.(pixels) ?? pixels, {
    maxPixels: config.MAX_IMAGE_PIXELS,
    maxBytes: config.MAX_DECODE_BYTES,
    maxRunning: Math.max(libuvThreads, availableParallelism()),
    // The other half of the cores is for the rest: a second of decoding is nothing to who sent 50 megapixels.
    maxLarge: Math.max(1, Math.floor(availableParallelism() / 2)),
    onWedged
  })
  return { model: endingIn(inference.activation, model), inference, decoder }
}

function endingIn(activation: Inference['activation'], model: Model): Model {
  const { manifest } = model
  return { ...model, manifest: { ...manifest, output: { ...manifest.output, activation } } }
}
