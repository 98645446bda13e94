import { fingerprintOf, keyIdOf, type Signer } from './ed25519.ts'
import { type Envelope, sealEnvelope } from './envelope.ts'
import { identityErrors } from './errors.ts'
import type { AdminSet } from './roster/admin-sets.ts'
import { parseBody } from './roster/bodies.ts'
import { ROOT_AUTHOR, ROSTER_PAYLOAD_TYPE } from './roster/constants.ts'
import { toBase64 } from './roster/genesis.ts'
import type { Roster } from './roster/roster.ts'
import type { Place } from './roster/statement-set.ts'

/** What the root is to decide when admins' keys are in wrong hands. */
export interface RecoveryDetails {
  /** Who is to be admin, and its authority key; it may be one already. */
  readonly admin: { readonly id: string; readonly authority: Uint8Array }
  /** Admins that leave. Of what each has signed goes on to count what is up to `keepUntil`; missing: all. */
  readonly remove: readonly { readonly id: string; readonly keepUntil?: number }[]
  /** The next root key, where the phrase is in wrong hands too; then the old and the new one must sign. */
  readonly newRoot?: Uint8Array
}

/**
 * The payloads by which the root takes the network back: the last admin set that the cut-offs leave standing, without
 * who leaves, and with the admin. Sign them with `sealRoot`, then give them to `Roster.submitRoot`. Fails with
 * `node_unknown`, with `admin_left` where the admin was one before, with `statement_invalid` where it is to leave, has
 * another authority key, or no such statement to keep is here, and as `Roster.draftRoot`.
 */
export function draftRecovery(roster: Roster, { admin, remove, newRoot }: RecoveryDetails): Buffer[] {
  const cutOffs = new Map(remove.map(({ id, keepUntil }) => [id, cutOffOf(roster, id, keepUntil)]))
  const previous = lastStanding(roster.adminSet, cutOffs)
  checkRecovered(admin, { previous, cutOffs })
  const staying = [...previous.admins.values()].filter(({ id }) => !cutOffs.has(id) && id !== admin.id)
  const leaving = [...cutOffs].filter(([id]) => previous.admins.has(id))
  const body = {
    version: previous.version + 1,
    previous: previous.hash,
    root: toBase64(newRoot ?? roster.state.root),
    threshold: 1 as const,
    admins: [...staying, admin].map(({ id, authority }) => ({ id, authority: toBase64(authority) })),
    removed: leaving.map(([id, place]) => ({ id, ...place })),
  }
  return roster.draftRoot([{ type: 'admins', body }])
}

/**
 * The payloads of a checkpoint that keeps all that still matters; everything else before it goes away on every node.
 * Sign them with `sealRoot`, then give them to `Roster.submitRoot`. Fails with `roster_incomplete` where it could lose
 * something, and as `Roster.draftRoot` does.
 */
export function draftCheckpoint(roster: Roster): Buffer[] {
  return roster.draftRoot(roster.checkpointDrafts())
}

/** Signs payloads of the root: with its key, and for a new root key with that one too. */
export function sealRoot(payloads: readonly Uint8Array[], signers: readonly Signer[]): Envelope[] {
  return payloads.map((payload) => sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers }))
}

/**
 * What a payload of the root says, on one line, for the person who is to sign it: read from the bytes themselves. Fails
 * with `statement_invalid` where it says nothing that this release knows.
 */
export function describePayload(payload: Uint8Array): string {
  const read = readPayload(payload)
  if (read?.type === 'admins') {
    const { version, admins, removed, root } = read.body
    const leaving = removed.map(({ id, seq }) => `${id}, whose statements up to ${seq} go on to count`)
    return [
      `admins number ${version}: ${admins.map(({ id }) => id).join(', ')}`,
      ...(leaving.length > 0 ? [`no longer: ${leaving.join(', ')}`] : []),
      `root key ${fingerprintOf(keyIdOf(root))}`,
    ].join('; ')
  }
  if (read?.type === 'checkpoint') {
    const { part, parts, frontier, live } = read.body
    const what = `${live.length} statements stay, ${frontier.length} logs are covered`
    return `part ${part} of ${parts} of a checkpoint: ${what}`
  }
  throw identityErrors.statement_invalid('that is not a statement which the root signs in this release')
}

function readPayload(payload: Uint8Array): ReturnType<typeof parseBody> {
  try {
    const { author, type, body } = JSON.parse(Buffer.from(payload).toString('utf8'))
    return author === ROOT_AUTHOR && typeof type === 'string' ? parseBody(type, body) : undefined
  } catch {
    return undefined
  }
}

function cutOffOf(roster: Roster, id: string, keepUntil: number | undefined): Place {
  if (!roster.isNamed(id)) throw identityErrors.node_unknown(`there is no node ${id} in this network`)
  const none = { seq: 0, hash: roster.networkId }
  const place = roster.placeOf(id, keepUntil) ?? (keepUntil === undefined ? none : undefined)
  if (place !== undefined) return place
  const last = roster.placeOf(id)?.seq ?? 0
  throw identityErrors.statement_invalid(`${id} has no statement ${keepUntil} that is accepted; its last is ${last}`)
}

/** The newest version on the line that holds before any that the cut-offs make void. */
function lastStanding(current: AdminSet, cutOffs: ReadonlyMap<string, Place>): AdminSet {
  const isCut = ({ statement }: AdminSet): boolean =>
    statement !== undefined && statement.seq > (cutOffs.get(statement.author)?.seq ?? Number.POSITIVE_INFINITY)
  let standing = current
  for (let set: AdminSet = current; set.parent !== undefined; set = set.parent) if (isCut(set)) standing = set.parent
  return standing
}

function checkRecovered(
  { id, authority }: RecoveryDetails['admin'],
  { previous, cutOffs }: { previous: AdminSet; cutOffs: ReadonlyMap<string, Place> },
): void {
  if (cutOffs.has(id)) throw identityErrors.statement_invalid(`${id} cannot both leave and be the admin`)
  if (previous.left.has(id)) {
    throw identityErrors.admin_left(`${id} was an admin before, and cannot become one again under its identity`, {
      hint: 'Recover on another node of the network, one that never was an admin.',
    })
  }
  const known = previous.admins.get(id)
  if (known !== undefined && known.keyId !== keyIdOf(authority)) {
    throw identityErrors.statement_invalid(`${id} is an admin with another authority key, and keeps it for life`)
  }
}
