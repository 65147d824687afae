import type { WriteImage } from '../tensor.ts'

export interface BatchAssemblyOptions {
  /** Most images in a batch, padding included. */
  capacity: number
  /** Floats in one image. */
  imageValues: number
  allocate: (floats: number) => Float32Array
  writeImage: WriteImage
}

/**
 * The batch that forms while the engine runs the one before. An image is written into its place as soon as it is decoded: were they
 * all written when the engine's turn comes, a GPU would wait 0.2 ms for each image of which it computes two in a millisecond.
 */
export function createBatchAssembly<Job extends { rgb: Uint8Array }>({
  capacity,
  imageValues,
  allocate,
  writeImage
}: BatchAssemblyOptions) {
  let jobs: Job[] = []
  let input: Float32Array | undefined

  return {
    get jobs(): readonly Job[] {
      return jobs
    },

    add(job: Job): void {
      input ??= allocate(capacity * imageValues)
      writeImage(job.rgb, input, jobs.length)
      jobs.push(job)
    },

    /** What has formed, and begins anew. The places behind the jobs hold whatever was there before. */
    take(): { jobs: Job[]; input: Float32Array } {
      const formed = { jobs, input: input ?? new Float32Array(0) }
      jobs = []
      input = undefined
      return formed
    }
  }
}
