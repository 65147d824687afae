import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipEntry {
  name: string
  content: Uint8Array
  /** Unix mode, with the kind of file: a link is 0o120777. */
  mode?: number
  /** What it claims to grow to, if not the truth. */
  claims?: number
  /** Where its data is claimed to be: at the entry of this index. */
  sharedWith?: number
}

/** A zip byte by byte, so that tests can tell lies in it. */
export function zipOf(entries: ZipEntry[]): Buffer {
  const locals: Buffer[] = []
  const central: Buffer[] = []
  const offsets: number[] = []
  for (const { name, content, mode = 0o100644, claims = content.length, sharedWith } of entries) {
    const packed = deflateRawSync(content)
    const about = Buffer.alloc(22)
    about.writeUInt16LE(8, 0)
    about.writeUInt32LE(crc32(content), 6)
    about.writeUInt32LE(packed.length, 10)
    about.writeUInt32LE(claims, 14)
    about.writeUInt16LE(Buffer.byteLength(name), 18)
    const offset = locals.reduce((sum, { length }) => sum + length, 0)
    offsets.push(sharedWith === undefined ? offset : (offsets[sharedWith] ?? 0))
    if (sharedWith === undefined)
      locals.push(Buffer.concat([Buffer.from('504b030414000000', 'hex'), about, Buffer.from(name), packed]))
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(mode * 0x1_0000, 6)
    rest.writeUInt32LE(offsets.at(-1) ?? 0, 10)
    central.push(
      Buffer.concat([
        Buffer.from('504b01021403140000000800', 'hex').subarray(0, 8),
        Buffer.alloc(2),
        about,
        rest,
        Buffer.from(name)
      ])
    )
  }
  const [body, directory] = [Buffer.concat(locals), Buffer.concat(central)]
  const end = Buffer.alloc(22)
  end.write('504b0506', 0, 'hex')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(body.length, 16)
  return Buffer.concat([body, directory, end])
}
