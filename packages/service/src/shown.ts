/** Characters of a client's text that are repeated in an answer or a log line. */
const maxShown = 100

/** Somebody else's text as it may stand in a message: quoted, and cut where it is long. */
export function shown(text: unknown): string {
  const quoted = JSON.stringify(typeof text === 'string' ? text.slice(0, maxShown) : text) ?? 'undefined'
  const cut = typeof text === 'string' ? text.length > maxShown : quoted.length > maxShown
  return cut ? `${quoted.slice(0, maxShown)}… (cut)` : quoted
}
