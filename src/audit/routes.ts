import { implement, type Route } from '../api/index.ts'
import type { Audit } from './audit.ts'
import { auditContract } from './contract.ts'
import type { AuditEntry } from './entry.ts'
import type { KeptHeads } from './kept-heads.ts'
import type { AuditHeads } from './protocol/heads.ts'

export interface AuditRoutesInit {
  readonly audit: Audit
  readonly heads: AuditHeads
  /** The name of a node; its id where it has none. */
  readonly nameOf: (id: string) => string
}

/** The calls of `auditContract`. */
export function auditRoutes({ audit, heads, nameOf }: AuditRoutesInit): Route[] {
  return [
    implement(auditContract.list, ({ query, signal }) => {
      const { follow, tail, since, cursor } = query
      return withNames(audit.read({ follow, tail, sinceMs: since, cursor, signal }), nameOf)
    }),
    implement(auditContract.verify, async ({ query, signal }) => {
      const peers = query.peers ? await heads.ask({ signal }) : []
      const verdict = await audit.verify({ peers, signal })
      return {
        ...verdict,
        problems: [...verdict.problems],
        peers: verdict.peers.map((peer) => ({ ...peer, name: nameOf(peer.node) })),
        witnessed: (await heads.list()).flatMap((kept) => rewindsOf(kept, nameOf)),
      }
    }),
    implement(auditContract.heads, async () =>
      (await heads.list()).map((kept) => {
        const newest = kept.heads.at(-1)
        return {
          node: kept.node,
          name: nameOf(kept.node),
          heads: kept.heads.length,
          newest: newest === undefined ? null : headOf(newest),
          rewinds: rewindsOf(kept, nameOf),
        }
      }),
    ),
  ]
}

async function* withNames(entries: AsyncIterable<AuditEntry>, nameOf: (id: string) => string) {
  for await (const { detail, ...entry } of entries) {
    const by_name = entry.by === null ? null : nameOf(entry.by)
    yield { ...entry, by_name, ...(detail === undefined ? {} : { detail: { ...detail } }) }
  }
}

function rewindsOf({ node, rewinds }: KeptHeads, nameOf: (id: string) => string) {
  return rewinds.map(({ seenMs, before, after }) => ({
    node,
    name: nameOf(node),
    seen: new Date(seenMs).toISOString(),
    before: headOf(before),
    after: headOf(after),
  }))
}

function headOf({ seq, hash, timeMs }: { seq: number; hash: string; timeMs: number }) {
  return { seq, hash, time: new Date(timeMs).toISOString() }
}
