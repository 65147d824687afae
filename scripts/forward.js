/**
 * Passes on what our processes print where our own output is a pipe: they can't tell that nobody reads it any more,
 * and we can.
 */
import { fstatSync, write } from 'node:fs'
import { promisify } from 'node:util'

const writeOut = promisify(write)

/** Whether what we print goes into a pipe, which breaks when its reader ends; files and terminals don't. */
export function isPiped() {
  const stdout = fstatSync(1)
  return stdout.isFIFO() || stdout.isSocket()
}

/** @param {() => void} onBroken called once nobody can read our output any more */
export function createForwarder(onBroken) {
  let written = Promise.resolve()
  let isWriting = false
  let isBroken = false

  return {
    /** A write that nobody takes keeps even `process.exit` waiting. */
    isWriting: () => isWriting,

    /**
     * Passes on whole lines, so that those of several processes never mix. Reads no faster than they are taken.
     * @param {import('node:stream').Readable} source
     */
    async forward(source) {
      let rest = ''
      for await (const chunk of source.setEncoding('utf8')) {
        const text = rest + chunk
        const end = text.lastIndexOf('\n') + 1
        rest = text.slice(end)
        if (end > 0) await print(text.slice(0, end))
      }
      if (rest !== '') await print(`${rest}\n`)
    }
  }

  /** @param {string} text */
  function print(text) {
    written = written.then(() => printNow(Buffer.from(text)))
    return written
  }

  /** @param {Buffer} bytes */
  async function printNow(bytes) {
    isWriting = true
    for (let left = bytes; left.length > 0 && !isBroken;) {
      try {
        left = left.subarray((await writeOut(1, left)).bytesWritten)
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EAGAIN') {
          await new Promise(resolve => setTimeout(resolve, 50))
        } else {
          isBroken = true
          onBroken()
        }
      }
    }
    isWriting = false
  }
}
