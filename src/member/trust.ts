import type { Clock } from '../base/clock.ts'
import type { Authority, Roster } from '../identity/index.ts'
import { decodeEnvelope, draftCheckpoint, draftRecovery, encodeEnvelope, removeNode } from '../identity/index.ts'
import type { StatementView, TrustStatus } from './contract.ts'
import type { Directory } from './directory.ts'
import { memberErrors } from './errors.ts'
import { describeId, isoTime } from './named.ts'
import type { NetworkKeys } from './network-keys.ts'
import type { Standing } from './standing.ts'
import { readStatementLog } from './statement-log.ts'

export interface TrustOptions {
  readonly roster: Roster
  readonly directory: Directory
  readonly authority: Authority
  readonly networkKeys: Pick<NetworkKeys, 'rotate'>
  readonly standing: Pick<Standing, 'isCurrent' | 'why'>
  readonly clock: Clock
  /** `trust.max_stale`. */
  readonly maxStaleMs: number
}

/** What the root key is to undo. */
export interface RecoveryRequest {
  /** By name or id; `keep_until` is the last statement of that admin which goes on to count. */
  readonly remove: readonly { readonly node: string; readonly keep_until?: number | undefined }[]
  /** The next root public key in base64. */
  readonly new_root?: string | undefined
}

/** Statements for the root key to sign, in base64. */
export interface RootDraft {
  readonly payloads: string[]
  /** Id of this node. */
  readonly admin: string
}

/** The trust of the network as a whole. */
export interface Trust {
  status(): TrustStatus
  /** Statements in words, of all or of one author (name, id or `root`). Fails as `Directory.resolve`. */
  log(request: { node?: string | undefined; tail: number }): StatementView[]
  /** Statements that make this node an admin and remove others. Fails as `Directory.resolve` and `draftRecovery`. */
  draftRecovery(request: RecoveryRequest): Promise<RootDraft & { remove: { id: string; name: string }[] }>
  /** Statements that drop what no longer counts. Fails as `draftCheckpoint`. */
  draftCheckpoint(): RootDraft
  /** Takes what the root key has signed, as JSON texts. Fails as `Roster.submitRoot`. */
  submit(envelopes: readonly string[]): Promise<{ statements: number; held: number }>
  /** The genesis and all statements, as JSON texts, in an order in which they can be taken in. */
  export(): string[]
  /** Takes statements from anywhere, as JSON texts, each checked as one of a peer is. Fails as `Roster.merge`. */
  import(envelopes: readonly string[]): Promise<{ added: number; refused: string[]; waiting: number }>
  /** Removes these ids for good, as an admin, then changes the network key. Fails as `Authority.author` and `removeNode`. */
  finishRecovery(ids: readonly string[]): Promise<{ removed: string[]; network_key: number }>
  /** Fails as `Roster.confirmOwnLog`. */
  acceptHead(): Promise<{ seq: number }>
  /** Fails as `Authority.author` and `NetworkKeys.rotate`. */
  rotateKey(): Promise<{ network_key: number }>
}

/** The work behind the `trust` commands. */
export function createTrust(options: TrustOptions): Trust {
  const { roster, directory, authority, networkKeys } = options
  const self = directory.self.id
  const rotateKey = async (): Promise<{ network_key: number }> => {
    await networkKeys.rotate(authority.author())
    return { network_key: roster.state.networkKey?.revision ?? 0 }
  }
  /** Also of tokens, and of who is named by what a thief has signed alone. */
  const idOf = (text: string): string => {
    if (roster.isNamed(text)) return text
    return [...roster.state.nodes.values()].find(({ name }) => name === text)?.id ?? directory.resolve(text).id
  }
  return {
    status: () => statusOf(options),
    log({ node, tail }) {
      const author = node === undefined || node === 'root' ? node : idOf(node)
      return readStatementLog(roster, { author, tail })
    },
    async draftRecovery({ remove, new_root: newRoot }) {
      const thieves = remove.map(({ node, keep_until: keepUntil }) => ({ id: idOf(node), keepUntil }))
      if (thieves.some(({ id }) => id === self)) {
        throw memberErrors.node_is_self('this node cannot make itself an admin and remove itself', {
          hint: 'Recover on the node that is to be the admin.',
        })
      }
      const payloads = draftRecovery(roster, {
        admin: { id: self, authority: await authority.publicKey() },
        remove: thieves.map(({ id, keepUntil }) => (keepUntil === undefined ? { id } : { id, keepUntil })),
        ...(newRoot === undefined ? {} : { newRoot: new Uint8Array(Buffer.from(newRoot, 'base64')) }),
      })
      const named = thieves.map(({ id }) => ({ id, name: describeId(roster, id) }))
      return { ...draftOf(payloads, self), remove: named }
    },
    draftCheckpoint: () => draftOf(draftCheckpoint(roster), self),
    async submit(envelopes) {
      const { payloadType } = roster.genesis.envelope
      const added = await roster.submitRoot(envelopes.map((text) => decodeEnvelope(Buffer.from(text), { payloadType })))
      return { statements: added.length, held: roster.size }
    },
    export: () =>
      [roster.genesis.envelope, ...roster.entriesAfter([])].map((envelope) =>
        encodeEnvelope(envelope).toString('utf8'),
      ),
    async import(envelopes) {
      // As its own: connected nodes may not know them either.
      const taken = envelopes.map((text) => Buffer.from(text))
      const { added, rejected, waiting } = await roster.merge(taken, 'own')
      return { added: added.length, refused: rejected.map(({ message }) => message), waiting }
    },
    async finishRecovery(ids) {
      const author = authority.author()
      const known = ids.filter((id) => !roster.state.removed.has(id))
      for (const id of known) await removeNode(author, id)
      return { removed: [...known], ...(await rotateKey()) }
    },
    async acceptHead() {
      await roster.confirmOwnLog()
      return { seq: roster.placeOf(self)?.seq ?? 0 }
    },
    rotateKey,
  }
}

function draftOf(payloads: readonly Uint8Array[], admin: string): RootDraft {
  return { payloads: payloads.map((payload) => Buffer.from(payload).toString('base64')), admin }
}

function statusOf({ roster, directory, authority, standing, clock, maxStaleMs }: TrustOptions): TrustStatus {
  const { state } = roster
  const heads = new Map(roster.heads().map((head) => [head.author, head]))
  const signs = new Map(roster.signedHeads.list().map((sign) => [sign.author, sign.timeMs]))
  const newestMs = roster.signedHeads.newestMs()
  const silentMs = newestMs === undefined ? null : Math.max(0, clock.now() - newestMs)
  // Before the first sign of life an admin was heard of by its statements alone.
  const heardMs = Math.max(newestMs ?? 0, state.newestTimeMs)
  return {
    network: roster.networkId,
    digest: roster.digest(),
    statements: roster.size,
    admins: [...state.admins.values()].map(({ id, keyId }) => ({
      id,
      name: describeId(roster, id),
      authority: keyId,
      statements: heads.get(id)?.seq ?? 0,
      sign_of_life: isoTime(signs.get(id)),
    })),
    sign_of_life: isoTime(newestMs),
    silent_ms: silentMs,
    stale: clock.now() - heardMs > maxStaleMs,
    standing: { current: standing.isCurrent(), why: standing.why() },
    missing: roster.signedHeads.missing().map(({ author, seq }) => ({ author: describeId(roster, author), seq })),
    network_key: {
      revision: state.networkKey?.revision ?? 0,
      since: isoTime(state.networkKey?.timeMs),
      by: state.networkKey === undefined ? null : describeId(roster, state.networkKey.author),
    },
    authority: authority.isLocked() ? 'locked' : authority.authorOrUndefined() === undefined ? 'none' : 'open',
    head_confirmed: roster.ownLogConfirmed(directory.self.id),
    alarms: state.alarms.map(({ code, subject, message }) => ({ code, subject, message })),
  }
}
