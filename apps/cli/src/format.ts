const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** A number of bytes for people: `312 B`, `54.1 kB`, `103.0 MB`. Units are powers of ten, as browsers and curl show them. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1_000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1)
  return `${power === 0 ? bytes : (bytes / 1_000 ** power).toFixed(1)} ${units[power]}`
}

/** A time for people: `8 s`, `2 min 5 s`, `1 h 3 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds)
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60]
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`
}

/** A scale as people write it: 1/255 says more than 0.00392156862745098. */
export function formatScale(scale: number): string {
  return scale !== 0 && Math.abs(scale) < 1 ? `1/${Number((1 / scale).toPrecision(6))}` : String(scale)
}

/** Rows in columns of equal width, two blanks apart; the first row is the heading. */
export function formatTable(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()
    )
    .join('\n')
}
