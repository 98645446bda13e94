import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { ServiceKind } from './contract.ts'

/** What a proxy carries, and to whom. */
export interface ProxyTarget {
  /** Node id. */
  readonly peer: string
  readonly service: string
  readonly kind: ServiceKind
}

/** What a way in needs: who connects, and whom to tell. */
export interface CarryDeps {
  /** A stream of the service's bytes or datagrams. */
  readonly open: (signal: AbortSignal) => Promise<Duplex>
  /** Told of what a client could not be given. */
  readonly onFailure: (error: WarrenError) => void
  readonly clock: Clock
  readonly log: Logger
}

/** What went through so far. */
export interface Traffic {
  /** Open now. */
  connections: number
  /** Since it was opened. */
  total: number
  /** From the service. */
  bytesIn: number
  /** To the service. */
  bytesOut: number
}

/** A way in: clients of this machine, each with a connection, or a flow, of its own. */
export interface Entrance {
  readonly addresses: readonly string[]
  readonly port: number
  traffic(): Readonly<Traffic>
  /** Ends it and all that goes through it. */
  close(): Promise<void>
}
