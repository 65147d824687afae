/** Names that somebody may have meant who wrote `name`, the nearest first. */
export declare function nearestNames(name: string, names: readonly string[]): string[]
