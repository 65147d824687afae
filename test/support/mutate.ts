import { createRandom, type Random } from './random.ts'

export interface Seed {
  name: string
  image: Buffer
}

/** A mutated upload, and what was done to which seed. */
export interface Mutant {
  image: Buffer
  origin: string
}

type Mutation = (image: Buffer, random: Random, others: readonly Seed[]) => Buffer

/** Numbers at which sizes, counts and offsets go wrong. */
const extremes = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]

/** Where sizes, types and offsets stand in all formats. */
const headerBytes = 64

const mutations = {
  'bytes flipped': (image, random) => {
    for (let i = random.below(16); i >= 0; i--) image[random.below(image.length)] = random.below(256)
    return image
  },
  'bits flipped': (image, random) => {
    for (let i = random.below(4); i >= 0; i--) flipBit(image, random.below(image.length), random.below(8))
    return image
  },
  'header flipped': (image, random) => {
    for (let i = random.below(4); i >= 0; i--)
      image[random.below(Math.min(headerBytes, image.length))] = random.below(256)
    return image
  },
  'number in the header': (image, random) => writeExtreme(image, random, Math.min(headerBytes, image.length)),
  'number anywhere': (image, random) => writeExtreme(image, random, image.length),
  'number after a marker': (image, random) => {
    const at = image.indexOf(0xff, random.below(image.length))
    if (at !== -1 && at + 4 < image.length) image.writeUInt16BE(random.pick([0, 1, 2, 3, 0x7fff, 0xffff]), at + 2)
    return image
  },
  cut: (image, random) => image.subarray(0, random.below(image.length)),
  'cut in the middle': (image, random) =>
    Buffer.concat([image.subarray(0, random.below(image.length)), image.subarray(random.below(image.length))]),
  'zeros from somewhere on': (image, random) => image.fill(0, random.below(image.length), random.below(image.length)),
  'piece doubled': (image, random) => {
    const [from, to] = range(image, random)
    return Buffer.concat([image.subarray(0, to), image.subarray(from, to), image.subarray(to)])
  },
  'piece moved': (image, random) => {
    const [from, to] = range(image, random)
    return Buffer.concat([image.subarray(0, from), image.subarray(to), image.subarray(from, to)])
  },
  'spliced with another': (image, random, others) => {
    const { image: other } = random.pick(others)
    return Buffer.concat([image.subarray(0, random.below(image.length)), other.subarray(random.below(other.length))])
  },
  'noise put in': (image, random) => {
    const at = random.below(image.length)
    return Buffer.concat([
      image.subarray(0, at),
      Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256))),
      image.subarray(at)
    ])
  }
} satisfies Record<string, Mutation>

/** The `index`-th mutant of a run with this seed: always the same, whatever came before it. */
export function mutant(seeds: readonly Seed[], { seed, index }: { seed: number; index: number }): Mutant {
  const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
  const { name, image } = random.pick(seeds)
  const done: string[] = []
  let mutated = Buffer.from(image)
  for (let i = random.below(3); i >= 0 && mutated.length > 0; i--) {
    const [what, mutate] = random.pick(Object.entries<Mutation>(mutations))
    done.push(what)
    mutated = Buffer.from(mutate(mutated, random, seeds))
  }
  return { image: mutated, origin: `${name}: ${done.join(', ')}` }
}

function flipBit(image: Buffer, at: number, bit: number): void {
  image[at] = (image[at] ?? 0) ^ (1 << bit)
}

/** Of one, two or four bytes, in either order. */
function writeExtreme(image: Buffer, random: Random, limit: number): Buffer {
  const [bytes, value] = [random.pick([1, 2, 4]), random.pick(extremes)]
  const at = random.below(Math.max(1, limit - bytes))
  if (at + bytes > image.length) return image
  const fitting = value % 2 ** (8 * bytes)
  if (random.below(2) === 0) image.writeUIntBE(fitting, at, bytes)
  else image.writeUIntLE(fitting, at, bytes)
  return image
}

function range(image: Buffer, random: Random): [from: number, to: number] {
  const from = random.below(image.length)
  return [from, Math.min(image.length, from + random.below(5_000))]
}
