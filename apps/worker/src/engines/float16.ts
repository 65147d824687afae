/** Conversions between float32 and IEEE 754 half precision, which Node 20 has no array for. */

const bits = new Uint32Array(1)
const value = new Float32Array(bits.buffer)

/** All 65,536 halves as float32: exact, for every half is one. */
const decoded = Float32Array.from({ length: 0x10000 }, (_, half) => decode(half))

/** The nearest half of each number, ties to even; what is too large becomes infinite. */
export function toFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) halves[i] = encode(values[i] as number)
  return halves
}

export function fromFloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) values[i] = decoded[halves[i] as number] as number
  return values
}

/** Runs `task` as where JavaScript has no Float16Array, as Node 20 and 22. */
export function withoutFloat16Array(task: () => void): void {
  const native = Object.getOwnPropertyDescriptor(globalThis, 'Float16Array')
  if (native === undefined) return task()
  Reflect.deleteProperty(globalThis, 'Float16Array')
  try {
    task()
  } finally {
    Object.defineProperty(globalThis, 'Float16Array', native)
  }
}

/** Sign 1 bit, exponent 5 bits biased by 15, fraction 10 bits. */
function decode(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
}

function encode(number: number): number {
  value[0] = number
  const word = bits[0] as number
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // From 65,520 on, the middle between the largest half and the next, all is infinite.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) return sign | subnormal(magnitude)
  // Rebiased from 127 to 15 and rounded in one addition: a carry out of the fraction is the right next exponent.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** Below 2⁻¹⁴ halves are multiples of 2⁻²⁴. */
function subnormal(magnitude: number): number {
  bits[0] = magnitude
  const units = (value[0] as number) * 2 ** 24
  const whole = Math.floor(units)
  const rest = units - whole
  return rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole
}
