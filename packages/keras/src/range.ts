/**
 * Which pixels a model takes that begins with (pixel - mean) * factor, by channel. Undefined where it can't be told, as for a
 * factor near 1 alone.
 */
export function rangeOf(factors: readonly number[], means: readonly number[]): '0-255' | '0-1' | undefined {
  // Means above 2 are of pixels in 0-255, and so are factors that bring 255 down to a few units.
  if (Math.max(...factors.map(Math.abs)) < 0.1 || Math.max(...means.map(Math.abs)) > 2) return '0-255'
  // What comes out lies on both sides of 0: that is what the subtraction is for.
  return means.every(mean => mean > 0 && mean < 1) ? '0-1' : undefined
}
