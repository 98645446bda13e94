import { type Audit, type AuditHeads, startAuditHeads } from '../audit/index.ts'
import type { Clock } from '../base/clock.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import type { Roster, Statement } from '../identity/index.ts'
import type { Network } from '../net/index.ts'

export interface AuditTrailOptions {
  readonly tell: TellDecision
  readonly audit: Audit
  readonly network: Network
  readonly roster: Roster
  /** Where the heads of other nodes are kept. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Logger
}

/** Feeds the audit log with what network and roster decide, and keeps heads with peers. */
export function startAuditTrail({ audit, tell, network, roster, folder, clock, log }: AuditTrailOptions): {
  readonly heads: AuditHeads
  stop(): Promise<void>
} {
  // Each job of a deploy token begins a log of its own.
  const isMember = (peer: string): boolean =>
    roster.roleOf(peer) !== undefined && roster.state.nodes.get(peer)?.kind !== 'token'
  const heads = startAuditHeads({ network, audit, folder, isMember, clock, log })
  const stops = [
    network.events.on('connected', ({ peer }) =>
      tell({ what: 'connection', outcome: 'allowed', by: peer, subject: addressOf(network, peer) }),
    ),
    network.events.on('refused', ({ peer, address, reason, cause, direction }) =>
      tell({
        what: 'connection',
        outcome: 'refused',
        by: peer,
        subject: hostOf(address),
        reason,
        detail: { cause, direction },
      }),
    ),
    network.events.on('served_refused', ({ peer, protocol }) =>
      tell({
        what: 'stream',
        outcome: 'refused',
        by: peer,
        subject: protocol,
        reason: 'not_current: this node has not yet compared its roster with others',
      }),
    ),
    roster.onAdded((added) => {
      for (const statement of added) {
        tell({
          what: 'statement',
          outcome: 'done',
          by: statement.author,
          subject: subjectOf(statement),
          detail: { seq: statement.seq, hash: statement.hash },
        })
      }
    }),
  ]
  return {
    heads,
    async stop() {
      for (const stop of stops) stop()
      await heads.stop()
    },
  }
}

function addressOf(network: Network, peer: string): string {
  const connection = network.connections().find((each) => each.peer === peer)
  return connection === undefined ? peer : hostOf(connection.address)
}

/** An address without its port, which is another at each try, so that equal refusals can be told as one. */
function hostOf(address: string): string {
  return address.split('/').slice(0, 3).join('/')
}

function subjectOf({ type, known }: Statement): string {
  if (known === undefined) return type
  const { body } = known
  if ('name' in body && typeof body.name === 'string') return `${type} ${body.name}`
  return 'id' in body ? `${type} ${body.id}` : type
}
