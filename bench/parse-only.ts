/** A Fastify server that takes the form which our gateway takes, and answers at once: the ceiling for any gateway on this machine. */
import multipart from '@fastify/multipart'
import Fastify from 'fastify'

const app = Fastify({ bodyLimit: 10_485_760 })
await app.register(multipart, { limits: { fileSize: 10_485_760 } })
app.post('/predict', async request => {
  let bytes = 0
  for await (const part of request.parts()) if (part.type === 'file') bytes += (await part.toBuffer()).length
  return { success: true, bytes }
})
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) })
