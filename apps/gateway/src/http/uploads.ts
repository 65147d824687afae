import type { IncomingMessage } from 'node:http'
import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Gateway } from '../gateway.ts'
import type { Place } from '../requests/admission.ts'
import { codingOf, readBody } from './read-body.ts'
import { partsOf } from './read-form.ts'
import { maxBodyBytes, tooLarge, type Body } from './read-upload.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request holds in this gateway; only those that have one are read. */
    place: Place | undefined
  }
}

/** RFC 9110: two tokens with a slash between, and parameters perhaps. */
const mediaType = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(;|$)/

/** Reads the bodies of requests that were admitted, within their bounds; of all others nothing. */
export const uploads = fastifyPlugin(
  async (app: FastifyInstance, { config, exchanges }: Pick<Gateway, 'config' | 'exchanges'>) => {
    const maxBytes = maxBodyBytes(config.MAX_IMAGE_BYTES)
    app.decorateRequest('place', undefined)
    app.addHook('onRequest', async ({ headers }) => {
      // Fastify refuses what is no media type. Here the first bytes decide, so such a header is as good as none.
      const type = headers['content-type']
      if (type !== undefined && !mediaType.test(type)) delete headers['content-type']
    })
    await app.register(multipart)
    // Forms too: whatever comes is counted as it comes, and read afterwards.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(
      '*',
      async (request: FastifyRequest, payload: IncomingMessage): Promise<Body | undefined> => {
        const { place, headers } = request
        if (place === undefined) return undefined
        const chunks = await readBody(payload, codingOf(headers['content-encoding']), {
          place,
          maxBytes,
          tooLarge: () => tooLarge(config.MAX_IMAGE_BYTES),
          broken: exchanges.of(request.raw).broken
        })
        place.arrived()
        return { chunks, contentType: headers['content-type'] ?? '', parts: partsOf(request, chunks) }
      }
    )
  }
)
