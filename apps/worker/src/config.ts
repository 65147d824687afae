import { Type, type Static } from '@streamsight/schema'
import { commonSettings } from '@streamsight/service'
import { engineChoices, precisionChoices } from './engines/engine.ts'

/** Every setting of a worker; also its validation and documentation. */
export const configSchema = Type.Object({
  ...commonSettings,
  MODELS_DIR: Type.String({ default: 'models', description: 'Folder of model directories' }),
  ENGINE: Type.Enum([...engineChoices], {
    default: 'auto',
    description: 'What runs the model; auto takes the fastest that works'
  }),
  PRECISION: Type.Enum([...precisionChoices], {
    default: 'auto',
    description: 'Of the weights; auto takes int8 where the model has it and the CPU has VNNI or ARM’s dot products'
  }),
  ENGINE_THREADS: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 256,
    description: 'CPU threads of the engine; 0 is one a core'
  }),
  BATCH_MAX_SIZE: Type.Integer({
    default: 32,
    minimum: 1,
    maximum: 256,
    description: 'Most images in one run of the model'
  }),
  BATCH_MAX_DELAY_MS: Type.Integer({
    default: 5,
    minimum: 0,
    maximum: 1_000,
    description: 'Milliseconds that a batch may wait for images that are being decoded'
  }),
  MAX_DECODE_BYTES: Type.Integer({
    default: 250_000_000,
    minimum: 50_000_000,
    description:
      'Bytes of memory that decoding may take at a time: more pictures wait, and one that needs more alone is refused. The default allows e.g. 15 megapixels of AVIF and 25 of HEIC'
  }),
  MAX_DELIVERIES: Type.Integer({
    default: 3,
    minimum: 1,
    maximum: 100,
    description: 'Workers that a job may take down before it is a dead letter'
  }),
  WORKER_SLOT: Type.Integer({
    default: 1,
    minimum: 1,
    description: 'Number of this worker on its machine; gives it a name that survives restarts'
  })
})

export type Config = Static<typeof configSchema>
