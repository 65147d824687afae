import type { FailureCode } from '@streamsight/protocol'

/** Every error that a client can get. The README's table is tested against it. */
export const errorTable = {
  MALFORMED_REQUEST: { status: 400, message: 'The request could not be understood' },
  NO_IMAGE: {
    status: 400,
    message: 'Send the image as multipart field "image", as raw body, or as JSON {"image": "<base64>"}'
  },
  UNAUTHORIZED: { status: 401, message: 'Send a valid API key as "Authorization: Bearer <key>"' },
  NOT_FOUND: { status: 404, message: 'There is nothing at this address' },
  MODEL_NOT_FOUND: { status: 404, message: 'This model is not served here' },
  METHOD_NOT_ALLOWED: { status: 405, message: 'This address is asked with another method' },
  REQUEST_TIMEOUT: { status: 408, message: 'The request did not arrive in time' },
  IMAGE_TOO_LARGE: { status: 413, message: 'The image has too many bytes' },
  TOO_MANY_PIXELS: { status: 413, message: 'The image has too many pixels' },
  UNSUPPORTED_ENCODING: {
    status: 415,
    message: 'This Content-Encoding is not decoded: send gzip, deflate, br or none'
  },
  UNSUPPORTED_IMAGE: {
    status: 415,
    message: 'Not a JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP image by its first bytes'
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    message: 'This Idempotency-Key was used for another image or another topK; take a new key'
  },
  UNDECODABLE_IMAGE: { status: 422, message: 'The image is truncated or corrupt' },
  POISONED_IMAGE: { status: 422, message: 'The image took down every worker it was given to' },
  RATE_LIMITED: { status: 429, message: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, message: 'The headers have more than 16 KB' },
  INFERENCE_FAILED: { status: 500, message: 'The model failed on this image' },
  INTERNAL: { status: 500, message: 'Something went wrong on our side' },
  OVERLOADED: { status: 503, message: 'More requests are waiting than can be answered in time' },
  BROKER_UNAVAILABLE: { status: 503, message: 'The queue is not available' },
  NO_WORKERS: { status: 503, message: 'No worker is running' },
  SHUTTING_DOWN: { status: 503, message: 'This gateway is shutting down' },
  DEADLINE_EXCEEDED: { status: 504, message: 'The image was not classified in time' }
} as const satisfies Record<string, { status: number; message: string }> & Record<FailureCode, object>

export type ErrorCode = keyof typeof errorTable

/** An error as the client will see it. */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly statusCode: number
  /** Seconds after which a retry makes sense. */
  readonly retryAfterS: number | undefined

  constructor(code: ErrorCode, options: { message?: string; retryAfterS?: number; cause?: unknown } = {}) {
    super(options.message ?? errorTable[code].message, { cause: options.cause })
    this.code = code
    this.statusCode = errorTable[code].status
    this.retryAfterS = options.retryAfterS ?? (this.statusCode === 503 ? 1 : undefined)
  }
}

/** Whatever was thrown, as one of the errors above. What is not known to be harmless becomes INTERNAL and tells nothing. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  const { code, statusCode, message } = (error ?? {}) as { code?: unknown; statusCode?: unknown; message?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE' || code === 'FST_REQ_FILE_TOO_LARGE')
    return new ApiError('IMAGE_TOO_LARGE', { cause: error })
  if (typeof code === 'string' && code.startsWith('FST_BEARER_AUTH'))
    return new ApiError('UNAUTHORIZED', { cause: error })
  if (code === 'FST_ERR_VALIDATION' && typeof message === 'string')
    return new ApiError('MALFORMED_REQUEST', { message, cause: error })
  if (code === 'FST_ERR_BAD_URL')
    return new ApiError('MALFORMED_REQUEST', { message: 'The path is not valid: write % as %25', cause: error })
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new ApiError('MALFORMED_REQUEST', { cause: error })
  return new ApiError('INTERNAL', { cause: error })
}

/** The body of every error. */
export function errorBody(error: Pick<ApiError, 'code' | 'message'>, requestId: string) {
  return { success: false as const, error: { code: error.code, message: error.message }, requestId }
}
