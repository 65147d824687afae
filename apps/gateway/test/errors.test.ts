import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { failureCodes } from '@streamsight/protocol'
import { ApiError, errorBody, errorTable, toApiError, type ErrorCode } from '../src/errors.ts'

const codes = Object.keys(errorTable) as ErrorCode[]

test('the table is what clients were promised: a change here is a change of the interface', () => {
  assert.deepEqual(Object.fromEntries(codes.map(code => [code, errorTable[code].status])), {
    MALFORMED_REQUEST: 400,
    NO_IMAGE: 400,
    UNAUTHORIZED: 401,
    NOT_FOUND: 404,
    MODEL_NOT_FOUND: 404,
    METHOD_NOT_ALLOWED: 405,
    REQUEST_TIMEOUT: 408,
    IMAGE_TOO_LARGE: 413,
    TOO_MANY_PIXELS: 413,
    UNSUPPORTED_ENCODING: 415,
    UNSUPPORTED_IMAGE: 415,
    IDEMPOTENCY_MISMATCH: 422,
    UNDECODABLE_IMAGE: 422,
    POISONED_IMAGE: 422,
    RATE_LIMITED: 429,
    HEADERS_TOO_LARGE: 431,
    INFERENCE_FAILED: 500,
    INTERNAL: 500,
    OVERLOADED: 503,
    BROKER_UNAVAILABLE: 503,
    NO_WORKERS: 503,
    SHUTTING_DOWN: 503,
    DEADLINE_EXCEEDED: 504
  })
})

test('the README lists every code with its status, and no other', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  const rows = readme.matchAll(/^\| (\d{3}) \| ((?:`[A-Z_]+`(?:, )?)+) \|/gm)
  const listed = [...rows].flatMap(([, status, codes = '']) =>
    [...codes.matchAll(/[A-Z_]+/g)].map(([code]) => [code, Number(status)])
  )
  assert.deepEqual(Object.fromEntries(listed), Object.fromEntries(codes.map(code => [code, errorTable[code].status])))
  assert.equal(listed.length, codes.length)
})

test('what a worker can say has a place in the table', () => {
  for (const code of failureCodes) assert.ok(code in errorTable, code)
})

test('every 503 says when to come back, and nothing else does unasked', () => {
  for (const code of codes)
    assert.equal(new ApiError(code).retryAfterS, errorTable[code].status === 503 ? 1 : undefined, code)
  assert.equal(new ApiError('OVERLOADED', { retryAfterS: 9 }).retryAfterS, 9)
  assert.equal(new ApiError('RATE_LIMITED', { retryAfterS: 60 }).retryAfterS, 60)
})

test('an error of ours stays what it is', () => {
  const error = new ApiError('NO_IMAGE')
  assert.equal(toApiError(error), error)
})

const known: Array<[code: string, statusCode: number, becomes: ErrorCode]> = [
  ['FST_ERR_CTP_BODY_TOO_LARGE', 413, 'IMAGE_TOO_LARGE'],
  ['FST_REQ_FILE_TOO_LARGE', 413, 'IMAGE_TOO_LARGE'],
  ['FST_BEARER_AUTH_MISSING_AUTHORIZATION_HEADER', 401, 'UNAUTHORIZED'],
  ['FST_BEARER_AUTH_INVALID_AUTHORIZATION_HEADER', 401, 'UNAUTHORIZED'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 400, 'MALFORMED_REQUEST'],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 415, 'MALFORMED_REQUEST'],
  ['FST_PARTS_LIMIT', 413, 'MALFORMED_REQUEST'],
  ['FST_ERR_REP_INVALID_PAYLOAD_TYPE', 500, 'INTERNAL']
]
for (const [code, statusCode, becomes] of known) {
  test(`${code} becomes ${becomes}, in our words`, () => {
    const cause = Object.assign(new Error('words of a library'), { code, statusCode })
    const error = toApiError(cause)
    assert.equal(error.code, becomes)
    assert.equal(error.message, errorTable[becomes].message)
    assert.equal(error.cause, cause)
  })
}

test('a path with a bad escape is explained, without the words of a library', () => {
  const cause = Object.assign(new Error("'/models/%' is not a valid url component"), { code: 'FST_ERR_BAD_URL' })
  assert.deepEqual(
    [toApiError(cause).code, toApiError(cause).message],
    ['MALFORMED_REQUEST', 'The path is not valid: write % as %25']
  )
})

test('a bad query is explained', () => {
  const error = toApiError(
    Object.assign(new Error('querystring/topK must be >= 1'), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
  )
  assert.equal(error.code, 'MALFORMED_REQUEST')
  assert.equal(error.message, 'querystring/topK must be >= 1')
})

const internal = 'redis://:hunter2@10.0.0.7 refused /srv/gateway.js:12'
const strange: Record<string, unknown> = {
  'an Error': new Error(internal),
  'an Error with a status over 499': Object.assign(new Error(internal), { statusCode: 502 }),
  'an Error with a status that is no number': Object.assign(new Error(internal), { statusCode: '400' }),
  'an Error of a system call': Object.assign(new Error(internal), { code: 'ECONNREFUSED', errno: -111 }),
  'an Error whose code is a number': new DOMException(internal, 'AbortError'),
  'an AggregateError': new AggregateError([new Error(internal)], internal),
  'an object': { message: internal },
  text: internal,
  null: null,
  undefined
}
for (const [what, thrown] of Object.entries(strange)) {
  test(`${what} becomes INTERNAL and tells nothing`, () => {
    const error = toApiError(thrown)
    assert.equal(error.code, 'INTERNAL')
    assert.equal(error.statusCode, 500)
    assert.deepEqual(errorBody(error, 'some-id'), {
      success: false,
      error: { code: 'INTERNAL', message: errorTable.INTERNAL.message },
      requestId: 'some-id'
    })
  })
}

test('a client error of a library tells nothing either', () => {
  const error = toApiError(Object.assign(new Error(internal), { statusCode: 400 }))
  assert.equal(error.code, 'MALFORMED_REQUEST')
  assert.doesNotMatch(JSON.stringify(errorBody(error, 'some-id')), /hunter2|10\.0\.0\.7|srv/)
})
