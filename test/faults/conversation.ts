import { argumentsOf, createFrameReader, isPush } from './resp.ts'

/** A request as Redis sees it. */
export interface Request {
  /** In capitals. */
  command: string
  /** It carries an image: an enqueue. */
  isUpload: boolean
  args: Buffer[]
}

export interface ConversationOptions {
  toServer: (frame: Buffer) => void
  toClient: (frame: Buffer) => void
  /** Bytes to answer with in Redis' place; undefined passes the request on. */
  answerFor: (request: Request) => Buffer | undefined
}

/** What a request waits for: an answer of ours, a number of confirmations that come as pushes, or Redis' reply. */
type Awaited = { answer: Buffer } | { confirmations: number } | 'reply'

/**
 * What is said on one connection. Answers of ours take their place among Redis' replies in the order of the requests, which is all
 * that tells a client which reply is whose.
 */
export function createConversation({ toServer, toClient, answerFor }: ConversationOptions) {
  const awaited: Awaited[] = []

  return { fromClient: createFrameReader(takeRequest), fromServer: createFrameReader(takeReply) }

  function takeRequest(frame: Buffer): void {
    const request = requestOf(frame)
    const answer = answerFor(request)
    if (answer === undefined) {
      awaited.push(isSubscribing(request) ? { confirmations: request.args.length - 1 } : 'reply')
      toServer(frame)
    } else {
      awaited.push({ answer })
      flush()
    }
  }

  function takeReply(frame: Buffer): void {
    if (!isPush(frame)) awaited.shift()
    else if (isConfirmation(frame)) confirm()
    toClient(frame)
    flush()
  }

  function confirm(): void {
    const first = awaited[0]
    if (typeof first === 'object' && 'confirmations' in first && --first.confirmations === 0) awaited.shift()
  }

  /** Gives the answers of ours whose turn it is. */
  function flush(): void {
    for (let first = awaited[0]; typeof first === 'object' && 'answer' in first; first = awaited[0]) {
      toClient(first.answer)
      awaited.shift()
    }
  }
}

function requestOf(frame: Buffer): Request {
  const args = argumentsOf(frame)
  const command = String(args[0]).toUpperCase()
  // "img" is the stream entry's field that an image stands in.
  return { command, args, isUpload: command.startsWith('EVAL') && args.some(argument => argument.equals(imageField)) }
}

const imageField = Buffer.from('img')

function isSubscribing({ command }: Request): boolean {
  return command.endsWith('SUBSCRIBE')
}

function isConfirmation(frame: Buffer): boolean {
  return String(argumentsOf(frame)[0]).endsWith('subscribe')
}
