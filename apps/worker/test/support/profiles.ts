/** ICC profiles made for tests, of version 2 and as short as lcms takes them. */

/** Columns of the matrices to XYZ of D50, as the profiles of these colour spaces have them. */
const colorants = {
  'Adobe RGB': [
    [0.60974, 0.31111, 0.01947],
    [0.20528, 0.62567, 0.06087],
    [0.14919, 0.06322, 0.74457]
  ],
  ProPhoto: [
    [0.79767, 0.28804, 0],
    [0.13519, 0.71188, 0],
    [0.03134, 0.00009, 0.82489]
  ],
  sRGB: [
    [0.43607, 0.22249, 0.01392],
    [0.38515, 0.71687, 0.09708],
    [0.14307, 0.06061, 0.7141]
  ]
} as const

export type Space = keyof typeof colorants

/** The curve of sRGB with the five parameters of a formula, and simple powers. */
const srgbFormula = parametric(3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])

export function rgbProfile(space: Space): Buffer {
  const curve = { 'Adobe RGB': power(563 / 256), ProPhoto: power(1.8), sRGB: srgbFormula }[space]
  const [red, green, blue] = colorants[space]
  return profile('RGB ', { rXYZ: xyz(red), gXYZ: xyz(green), bXYZ: xyz(blue), rTRC: curve, gTRC: curve, bTRC: curve })
}

export function greyProfile(gamma: number): Buffer {
  return profile('GRAY', { kTRC: power(gamma) })
}

/** The same curve as a table of points. */
export function greyTableProfile(gamma: number): Buffer {
  const points = Array.from({ length: 1_024 }, (_, i) => Math.round(65_535 * (i / 1_023) ** gamma))
  return profile('GRAY', { kTRC: curv(points) })
}

function profile(space: string, tags: Record<string, Buffer>): Buffer {
  const all = { desc: description('made for tests'), cprt: text('none'), wtpt: xyz([0.9642, 1, 0.82491]), ...tags }
  const table = Buffer.alloc(4 + 12 * Object.keys(all).length)
  table.writeUInt32BE(Object.keys(all).length, 0)
  const bodies: Buffer[] = []
  let at = 128 + table.length
  for (const [i, [name, body]] of Object.entries(all).entries()) {
    const padded = Buffer.concat([body, Buffer.alloc(-body.length & 3)])
    table.write(name, 4 + 12 * i, 'latin1')
    table.writeUInt32BE(at, 8 + 12 * i)
    table.writeUInt32BE(body.length, 12 + 12 * i)
    bodies.push(padded)
    at += padded.length
  }
  return Buffer.concat([header(space, at), table, ...bodies])
}

function header(space: string, size: number): Buffer {
  const bytes = Buffer.alloc(128)
  bytes.writeUInt32BE(size, 0)
  bytes.writeUInt32BE(0x02100000, 8)
  bytes.write(`mntr${space}XYZ `, 12, 'latin1')
  bytes.write('acsp', 36, 'latin1')
  xyz([0.9642, 1, 0.82491]).copy(bytes, 68, 8)
  return bytes
}

function power(gamma: number): Buffer {
  return curv([Math.round(gamma * 256)])
}

function curv(values: number[]): Buffer {
  const bytes = Buffer.alloc(12 + 2 * values.length)
  bytes.write('curv', 0, 'latin1')
  bytes.writeUInt32BE(values.length, 8)
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, 12 + 2 * i)
  return bytes
}

function parametric(kind: number, parameters: number[]): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.write('para', 0, 'latin1')
  bytes.writeUInt16BE(kind, 8)
  return Buffer.concat([bytes, ...parameters.map(fixed)])
}

function xyz(values: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from('XYZ \0\0\0\0', 'latin1'), ...values.map(fixed)])
}

function fixed(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(Math.round(value * 65_536))
  return bytes
}

function text(content: string): Buffer {
  return Buffer.from(`text\0\0\0\0${content}\0`, 'latin1')
}

function description(content: string): Buffer {
  const bytes = Buffer.alloc(12 + content.length + 1 + 78)
  bytes.write('desc', 0, 'latin1')
  bytes.writeUInt32BE(content.length + 1, 8)
  bytes.write(content, 12, 'latin1')
  return bytes
}
