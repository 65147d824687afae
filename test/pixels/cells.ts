/** What a decoder made of a file. */
export type Seen = { file: string; cells: number[]; ms: number } | { file: string; refused: string }

/** Cells across and down a picture. */
const cells = 8

/** The mean red, green and blue of each cell of a square picture. */
export function cellsOf(rgb: Uint8Array, side: number): number[] {
  const sums = Array.from({ length: cells * cells * 3 }, () => 0)
  for (let i = 0; i < rgb.length; i++) {
    const pixel = Math.floor(i / 3)
    const [x, y] = [pixel % side, Math.floor(pixel / side)]
    const cell = Math.floor((y * cells) / side) * cells + Math.floor((x * cells) / side)
    sums[cell * 3 + (i % 3)] = (sums[cell * 3 + (i % 3)] ?? 0) + (rgb[i] ?? 0)
  }
  return sums.map(sum => sum / (side / cells) ** 2)
}

/** The largest difference of a cell, of 255. */
export function differenceOf(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? NaN))))
}
