import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parse, View, type Spec } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import { root } from '../scripts/bootstrap.js'
import { findRedis } from '../scripts/redis.js'

/** What one part of the bench found. */
export interface Section {
  title: string
  /** Rows of a table; all have the same columns. */
  rows: Array<Record<string, string | number>>
  /** What the rows amount to, a line each. */
  findings: string[]
  /** Throughput and latency, for the plot. */
  points?: Array<{ series: string; imagesPerSecond: number; p50Ms: number; p99Ms: number }>
}

export const resultsFolder = join(root, 'bench-results')

/** Where and on what the figures were taken. */
export function machine() {
  const [redis = ''] = /v=\S+/.exec(execFileSync(findRedis() ?? 'false', ['--version'], { encoding: 'utf8' })) ?? []
  return {
    date: new Date().toISOString(),
    cpu: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    redis: redis.replace('v=', '')
  }
}

export function print({ title, rows, findings }: Section): void {
  console.log(`\n${title}\n\n${table(rows)}\n`)
  for (const finding of findings) console.log(finding)
}

function table(rows: Section['rows']): string {
  const columns = Object.keys(rows[0] ?? {})
  const cells = [columns, ...rows.map(row => columns.map(column => show(row[column] ?? '')))]
  const widths = columns.map((_, i) => Math.max(...cells.map(row => row[i]?.length ?? 0)))
  // The first column says what the row is about; the others are figures.
  return cells
    .map(row =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
    )
    .join('\n')
}

/** Three digits that count: nobody reads more, and none of these figures has more. */
function show(value: string | number): string {
  if (typeof value === 'string') return value
  return Number.isNaN(value)
    ? '–'
    : Math.abs(value) >= 100
      ? value.toFixed(0)
      : Math.abs(value) >= 10
        ? value.toFixed(1)
        : value.toFixed(2)
}

/** Writes the JSON and, where there are points, the plot; returns the paths. */
export async function write(name: string, sections: Section[]): Promise<string[]> {
  mkdirSync(resultsFolder, { recursive: true })
  const json = join(resultsFolder, `${name}.json`)
  writeFileSync(json, JSON.stringify({ machine: machine(), sections }, null, 2))
  const points = sections.flatMap(({ points = [] }) => points)
  if (points.length === 0) return [json]
  const svg = join(resultsFolder, `${name}.svg`)
  writeFileSync(svg, await plot(points))
  return [json, svg]
}

/** Latency against throughput: p50 as a line, p99 as a dashed one, a colour for each series. */
async function plot(points: NonNullable<Section['points']>): Promise<string> {
  const values = points.flatMap(({ series, imagesPerSecond, p50Ms, p99Ms }) => [
    { series, imagesPerSecond, ms: p50Ms, percentile: 'p50' },
    { series, imagesPerSecond, ms: p99Ms, percentile: 'p99' }
  ])
  const spec: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
    width: 640,
    height: 400,
    background: 'white',
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'imagesPerSecond', type: 'quantitative', title: 'images per second' },
      y: { field: 'ms', type: 'quantitative', title: 'milliseconds', scale: { type: 'log' } },
      color: { field: 'series', type: 'nominal', title: null },
      strokeDash: {
        field: 'percentile',
        type: 'nominal',
        title: null,
        legend: { symbolType: 'stroke', symbolSize: 400 }
      }
    }
  }
  return await new View(parse(compile(spec).spec as Spec), { renderer: 'none' }).toSVG()
}
