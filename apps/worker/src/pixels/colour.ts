import { toSrgbLight, type Profile } from './profile.ts'

/** Exclusive the colours of RGBA pixels into sRGB, in place; alpha stays. */
export type Recolour = (rgba: Uint8ClampedArray) => void

/** So fine that even in the dark, where sRGB is steepest, no step is more than a fifth of a value. */
const lightSteps = 16_384

let encoded: Uint8ClampedArray | undefined

/** From a profile's colours to sRGB, as a colour-managed viewer would show them. What sRGB can't show is clipped. */
export function createRecolour(profile: Profile): Recolour {
  return profile.kind === 'grey' ? recolourGrey(profile) : recolourRgb(profile)
}

function recolourGrey({ curves }: Profile): Recolour {
  const values = Uint8ClampedArray.from(lightOf(curves[0]), light => encode(light))
  return rgba => {
    for (let at = 0; at < rgba.length; at += 4) rgba.fill(values[rgba[at] as number] as number, at, at + 3)
  }
}

function recolourRgb({ curves, colorants }: Profile): Recolour {
  const [redLight, greenLight, blueLight] = [0, 1, 2].map(channel => lightOf(curves[channel])) as [
    Float64Array,
    Float64Array,
    Float64Array
  ]
  const rows = toSrgbLight.map(row =>
    colorants.map(column => row.reduce((sum, value, i) => sum + value * (column[i] ?? 0), 0))
  )
  const table = encodeTable()
  return rgba => {
    for (let at = 0; at < rgba.length; at += 4) {
      const [red, green, blue] = [
        redLight[rgba[at] as number] as number,
        greenLight[rgba[at + 1] as number] as number,
        blueLight[rgba[at + 2] as number] as number
      ]
      for (let to = 0; to < 3; to++) {
        const row = rows[to] as number[]
        const light = (row[0] as number) * red + (row[1] as number) * green + (row[2] as number) * blue
        rgba[at + to] = table[Math.round(Math.min(Math.max(light, 0), 1) * lightSteps)] as number
      }
    }
  }
}

/** Light of each of the 256 values of a channel. */
function lightOf(curve: ((value: number) => number) | undefined): Float64Array {
  return Float64Array.from({ length: 256 }, (_, value) => curve?.(value / 255) ?? 0)
}

function encodeTable(): Uint8ClampedArray {
  encoded ??= Uint8ClampedArray.from({ length: lightSteps + 1 }, (_, step) => encode(step / lightSteps))
  return encoded
}

/** The sRGB value, 0 to 255, of light from 0 to 1. */
function encode(light: number): number {
  return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055)
}
