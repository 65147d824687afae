import multipart from '@fastify/multipart'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { ApiError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { maxBodyBytes, maxParts } from './read-upload.ts'

/** The bodies that are understood, each with its bounds: forms, JSON, and anything else as an image. */
export const uploads = fastifyPlugin(async (app: FastifyInstance, { config }: Pick<Gateway, 'config'>) => {
  await app.register(multipart, {
    // A client library may leave the file name out; the field's name is what counts.
    isPartAFile: fieldName => fieldName === 'image',
    limits: { fileSize: config.MAX_IMAGE_BYTES, parts: maxParts, fieldSize: 65_536 },
    throwFileSizeLimit: false
  })
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: maxBodyBytes(config.MAX_IMAGE_BYTES) },
    (_request, body, done) => {
      try {
        done(null, JSON.parse(body as string))
      } catch (cause) {
        done(new ApiError('MALFORMED_REQUEST', { message: 'The body is not JSON', cause }))
      }
    }
  )
  // Anything else is an image until its first bytes say otherwise: `curl --data-binary` claims to send a form.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
})
