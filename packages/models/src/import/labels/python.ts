/** Tokens of a list, tuple or dict of texts and whole numbers, as Python prints one. */
const token = /\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|(\d{1,9})(?![\w.])|([[\](){},:]))/y

/**
 * The JSON of what Python prints of labels: `{0: 'tench', 1: "lion's mane"}`, `{'cat': 0}`, `['cat', 'dog']`. Undefined where `text`
 * is anything else.
 */
export function jsonOfPython(text: string): string | undefined {
  const source = text.trim()
  const parts: string[] = []
  token.lastIndex = 0
  while (token.lastIndex < source.length) {
    const match = token.exec(source)
    if (match === null) return undefined
    parts.push(partOf(match))
  }
  const json = parts
    .join('')
    .replaceAll(/([{,])(\d+):/g, '$1"$2":')
    .replaceAll(/,([\]}])/g, '$1')
  return isJson(json) ? json : undefined
}

function partOf([, single, double, number, symbol]: RegExpExecArray): string {
  const quoted = single ?? double
  if (quoted !== undefined) return JSON.stringify(quoted.replaceAll(/\\(.)/g, '$1'))
  return number === undefined ? (symbol ?? '').replace('(', '[').replace(')', ']') : String(Number(number))
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}
