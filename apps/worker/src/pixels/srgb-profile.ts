type Curve = (value: number) => number

/** The columns of sRGB's matrix as its ICC profile has them. */
const srgbColorants = [
  [0.43607, 0.22249, 0.01392],
  [0.38515, 0.71687, 0.09708],
  [0.14307, 0.06061, 0.7141]
]

/**
 * Whether an ICC profile means what no profile means: nothing then has to be computed. Most profiles in photos do. False for a
 * profile that is broken, or of tables, which scanners and printers have: libvips is to see to that.
 */
export function isSrgb(icc: Buffer): boolean {
  try {
    const tags = readTags(icc)
    // Tables take precedence over a matrix.
    if (icc.toString('latin1', 16, 24) !== 'RGB XYZ ' || tags.has('A2B0')) return false
    const colorants = ['rXYZ', 'gXYZ', 'bXYZ'].map(name => readXyz(need(tags, name)))
    return (
      isSrgbMatrix(colorants.flat()) && ['rTRC', 'gTRC', 'bTRC'].every(name => isSrgbCurve(readCurve(need(tags, name))))
    )
  } catch {
    // A picture is not lost for its profile.
    return false
  }
}

function isSrgbMatrix(colorants: number[]): boolean {
  return colorants.every((value, i) => Math.abs(value - (srgbColorants.flat()[i] as number)) < 0.002)
}

function isSrgbCurve(curve: Curve): boolean {
  const steps = Array.from({ length: 33 }, (_, i) => i / 32)
  return steps.every(value => Math.abs(curve(value) - srgbLight(value)) < 0.001)
}

/** Light of an sRGB value, both 0 to 1 (IEC 61966-2-1). */
function srgbLight(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
}

/** Profiles have a dozen or two. */
const maxTags = 200

function readTags(icc: Buffer): Map<string, Buffer> {
  const tags = new Map<string, Buffer>()
  for (let i = 0, at = 132; i < Math.min(icc.readUInt32BE(128), maxTags); i++, at += 12) {
    const start = icc.readUInt32BE(at + 4)
    tags.set(icc.toString('latin1', at, at + 4), icc.subarray(start, start + icc.readUInt32BE(at + 8)))
  }
  return tags
}

function need(tags: Map<string, Buffer>, name: string): Buffer {
  const tag = tags.get(name)
  if (tag === undefined) throw new Error(`the profile has no ${name}`)
  return tag
}

function fixed(tag: Buffer, at: number): number {
  return tag.readInt32BE(at) / 65_536
}

function readXyz(tag: Buffer): number[] {
  return [fixed(tag, 8), fixed(tag, 12), fixed(tag, 16)]
}

function readCurve(tag: Buffer): Curve {
  return tag.toString('latin1', 0, 4) === 'para' ? readFormula(tag) : readSamples(tag)
}

/** No sample is a straight line, one a power, more are points of the curve at equal distances. */
function readSamples(tag: Buffer): Curve {
  const count = tag.readUInt32BE(8)
  if (tag.toString('latin1', 0, 4) !== 'curv' || count * 2 > tag.length - 12) throw new Error('not a curve')
  if (count === 0) return value => value
  const sample = (i: number) => tag.readUInt16BE(12 + 2 * Math.min(i, count - 1))
  if (count === 1) return value => value ** (sample(0) / 256)
  return value => {
    const at = value * (count - 1)
    const [below, part] = [Math.floor(at), at % 1]
    return (sample(below) * (1 - part) + sample(below + 1) * part) / 65_535
  }
}

/** ICC's parametric curves: a power above `d` and a straight line below, with ever more parameters. */
function readFormula(tag: Buffer): Curve {
  const count = [1, 3, 4, 5, 7][tag.readUInt16BE(8)]
  if (count === undefined) throw new Error('not a curve')
  const given = Array.from({ length: count }, (_, i) => fixed(tag, 12 + 4 * i))
  const [g = 1, a = 1, b = 0] = given
  const power = (value: number) => Math.max(0, a * value + b) ** g
  if (count <= 3) return power
  if (count === 4) return value => (value >= -b / a ? power(value) + (given[3] ?? 0) : (given[3] ?? 0))
  const [, , , c = 0, d = 0, e = 0, f = 0] = given
  return value => (value >= d ? power(value) + e : c * value + f)
}
