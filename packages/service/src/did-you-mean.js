/** Names that somebody may have meant who wrote `name`, the nearest first. */
export function nearestNames(name, names) {
  const wanted = name.toLowerCase()
  const scored = names.map(candidate => ({ candidate, distance: distance(wanted, candidate.toLowerCase()) }))
  return scored
    .filter(
      ({ candidate, distance }) =>
        distance <= Math.max(2, name.length / 3) || (wanted.length > 2 && candidate.toLowerCase().includes(wanted))
    )
    .toSorted((a, b) => a.distance - b.distance)
    .map(({ candidate }) => candidate)
}
/** Levenshtein's: insertions, deletions and replacements that turn `a` into `b`. */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
//# sourceMappingURL=did-you-mean.js.map
