/**
 * The plainest server that answers as ours does: Fastify decodes and infers in its own process, a request at a time, without a
 * queue. Pixels and engine are the worker's own code, so that the difference to the whole system is what the system itself
 * costs: gateway, Redis, and the way between processes and threads.
 */
import { fileURLToPath } from 'node:url'
import multipart from '@fastify/multipart'
import Fastify from 'fastify'
import { openModel } from '@streamsight/models'
import { sniff } from '@streamsight/images'
import { openOnnx } from '../../apps/worker/dist/engines/onnx.js'
import { createDecoder } from '../../apps/worker/dist/pixels/decode.js'
import { rank } from '../../apps/worker/dist/rank.js'
import { createImageWriter } from '../../apps/worker/dist/tensor.js'

export interface InProcessOptions {
  modelsDir: string
  name: string
  threads: number
}

const [topK, maxBytes] = [5, 10_485_760]

/** POST /predict with the multipart field `image`; 400 without one, 415 for what is no image. */
export async function buildServer({ modelsDir, name, threads }: InProcessOptions) {
  const model = await openModel(modelsDir, name)
  const { input, output, artifacts } = model.manifest
  const artifact = artifacts.find(({ format }) => format === 'onnx')
  if (artifact === undefined)
    throw new Error(`model ${name} has no "onnx" artifact, the only one that the in-process server runs`)
  const engine = await openOnnx({ model, artifact, name: 'onnx-cpu', threads })
  const decoder = await createDecoder(input)
  const writeImage = createImageWriter(input, artifact.layout)

  const app = Fastify({ bodyLimit: maxBytes })
  await app.register(multipart, { limits: { fileSize: maxBytes } })
  app.addHook('onClose', async () => {
    await engine.close()
    await decoder.close()
  })

  app.post('/predict', async (request, reply) => {
    const upload = await request.file()
    if (upload?.fieldname !== 'image') return reply.code(400).send({ success: false })
    const image = await upload.toBuffer()
    const type = sniff(image)
    if (type === undefined) return reply.code(415).send({ success: false })
    const batch = new Float32Array(input.width * input.height * 3)
    writeImage(await decoder.decode(image, type), batch, 0)
    const scores = await engine.run(batch, 1)
    return { success: true, predictions: rank(scores, model.labels, { activation: output.activation, topK }) }
  })

  return app
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [modelsDir = '', name = '', threads = '1', port = '0'] = process.argv.slice(2)
  const app = await buildServer({ modelsDir, name, threads: Number(threads) })
  await app.listen({ host: '127.0.0.1', port: Number(port) })
}
