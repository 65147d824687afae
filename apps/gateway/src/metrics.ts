import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { Timings } from '@streamsight/protocol'
import { errorTable } from './errors.ts'
import type { Exchanges } from './http/exchanges.ts'
import type { Admission } from './requests/admission.ts'
import type { Broker } from './requests/broker.ts'
import type { Fleet, Fleets } from './requests/fleet.ts'

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export interface Observed {
  broker: Pick<Broker, 'open' | 'listeners' | 'awayMs'>
  fleets: Fleets
  admission: Pick<Admission, 'bytes' | 'uploads' | 'working'>
  exchanges: Pick<Exchanges, 'connections'>
}

/** What Prometheus sees of a gateway. One registry for each gateway, so that several can live in one process. */
export function createMetrics({ broker, fleets, admission, exchanges }: Observed) {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const requests = new Counter({
    name: 'streamsight_requests_total',
    help: 'Requests answered',
    labelNames: ['route', 'status', 'code'],
    registers
  })
  const duration = new Histogram({
    name: 'streamsight_request_seconds',
    help: 'From the headers to the answer, by class of its status, e.g. 2xx',
    labelNames: ['route', 'status'],
    buckets: seconds,
    registers
  })
  const stage = new Histogram({
    name: 'streamsight_stage_seconds',
    help: 'Where a classified image spent its time',
    labelNames: ['model', 'stage'],
    buckets: seconds,
    registers
  })

  // An error that has never happened is 0, not unknown: rate() and alerts need the series from the start.
  for (const [code, { status }] of Object.entries(errorTable)) requests.inc({ route: '/predict', status, code }, 0)

  gauge('streamsight_open_requests', 'Requests waiting for a worker', () => broker.open)
  gauge('streamsight_reply_channels', 'Channels listened to', () => broker.listeners)
  gauge('streamsight_held_bytes', 'Bytes of request bodies held', () => admission.bytes)
  gauge('streamsight_uploads', 'Request bodies being received', () => admission.uploads)
  gauge('streamsight_in_flight', 'Requests that have arrived and are not answered yet', () => admission.working)
  gauge('streamsight_connections', 'Connections of clients', () => exchanges.connections)
  gaugeOfModel('streamsight_queue_depth', 'Jobs on the stream', fleet => fleet.depth)
  gaugeOfModel('streamsight_workers_ready', 'Warm workers seen lately', fleet => fleet.ready().length)
  gaugeOfModel('streamsight_fleet_images_per_second', 'What the ready workers can do together', fleet =>
    fleet.ratePerSecond()
  )

  return {
    contentType: registry.contentType,
    read: (): Promise<string> => registry.metrics(),

    /** Counts a request that is over. One that was refused before it had a route has no duration. */
    request({ route, status, code, ms }: { route: string; status: number; code: string; ms?: number }): void {
      requests.inc({ route, status, code })
      if (ms !== undefined) duration.observe({ route, status: `${Math.floor(status / 100)}xx` }, ms / 1_000)
    },

    stages(model: string, { queueMs, decodeMs, inferMs }: Timings): void {
      stage.observe({ model, stage: 'queue' }, queueMs / 1_000)
      stage.observe({ model, stage: 'decode' }, decodeMs / 1_000)
      stage.observe({ model, stage: 'infer' }, inferMs / 1_000)
    }
  }

  function gauge(name: string, help: string, value: () => number): void {
    // oxlint-disable-next-line no-new -- a gauge registers itself
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      }
    })
  }

  function gaugeOfModel(name: string, help: string, value: (fleet: Fleet) => number): void {
    // oxlint-disable-next-line no-new -- as above
    new Gauge({
      name,
      help,
      registers,
      labelNames: ['model'],
      collect() {
        this.reset()
        // What was last seen may be long past; better no number than an old one.
        if (broker.awayMs() > 0) return
        for (const [model, fleet] of fleets) this.set({ model }, value(fleet))
      }
    })
  }
}

export type Metrics = ReturnType<typeof createMetrics>
