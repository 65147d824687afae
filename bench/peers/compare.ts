import type { ContenderName } from './contenders.ts'
import type { Result } from './rounds.ts'

/** What Streamsight is to be, compared with each contender that was measured; a line each, with what was found. */
export function compare(results: readonly Result[]): string[] {
  return [
    ...pair('recipe', 1, (our, their) =>
      verdict({
        what: `one client waits ${share(our.p50Ms, their.p50Ms)} of the time that the recipe takes (p50 ${ms(our.p50Ms)} and ${ms(their.p50Ms)})`,
        target: 'at most 0.33',
        met: our.p50Ms * 3 <= their.p50Ms
      })
    ),
    ...(['FastAPI', 'LitServe'] as const).flatMap(name =>
      pair(name, 32, (our, their) => [
        ...verdict({
          what: `32 clients get ${share(our.imagesPerSecond, their.imagesPerSecond)} times the images of ${name} (${our.imagesPerSecond.toFixed(1)} and ${their.imagesPerSecond.toFixed(1)} a second)`,
          target: 'at least 1.10',
          met: our.imagesPerSecond >= 1.1 * their.imagesPerSecond
        }),
        ...verdict({
          what: `their p99 is ${share(our.p99Ms, their.p99Ms)} of that with ${name} (${ms(our.p99Ms)} and ${ms(their.p99Ms)})`,
          target: 'at most 1.00',
          met: our.p99Ms <= their.p99Ms
        })
      ])
    ),
    ...pair('in-process', 1, (our, their) =>
      verdict({
        what: `the way through gateway, Redis and worker adds ${ms(our.p50Ms - their.p50Ms)} to one client's p50 (${ms(our.p50Ms)} and ${ms(their.p50Ms)} in one process)`,
        target: 'at most 5.0 ms',
        met: our.p50Ms - their.p50Ms <= 5
      })
    )
  ]

  /** Nothing where one of the two was not measured with so many clients. */
  function pair(name: ContenderName, clients: number, say: (our: Result, their: Result) => string[]): string[] {
    const [our, their] = (['Streamsight', name] as const).map(wanted =>
      results.find(result => result.name === wanted && result.clients === clients)
    )
    return our === undefined || their === undefined ? [] : say(our, their)
  }
}

function verdict({ what, target, met }: { what: string; target: string; met: boolean }): string[] {
  return [`${met ? 'Met' : 'NOT met'}: ${what}; the target is ${target}.`]
}

function share(a: number, b: number): string {
  return (a / b).toFixed(2)
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}
