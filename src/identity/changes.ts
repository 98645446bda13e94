import type { Role } from '../api/contract.ts'
import { keyIdOf, type Signer } from './ed25519.ts'
import { identityErrors } from './errors.ts'
import { toBase64 } from './roster/genesis.ts'
import type { Roster } from './roster/roster.ts'
import type { Statement } from './roster/statement.ts'

/** Who makes a change: an admin, by its authority key. */
export interface Author {
  readonly roster: Roster
  readonly authority: Signer
  /** Node id of the admin. */
  readonly authorId: string
}

/** What is said of a node. */
export interface NodeDetails {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly labels?: Readonly<Record<string, string>>
  /** Milliseconds since 1970; null or missing: never. */
  readonly expires?: number | null
}

/**
 * Adds a node to the network, or changes what is said of it, at the next revision. Role `admin` counts only for ids of
 * the admin set. Fails with `node_removed`, and as `Roster.append` does.
 */
export async function addNode({ roster, authority, authorId }: Author, details: NodeDetails): Promise<Statement> {
  const { id, name, role, labels = {}, expires = null } = details
  if (roster.state.removed.has(id)) {
    throw identityErrors.node_removed(`${name} (${id}) was removed from this network, which is for good`, {
      hint: 'Give that machine a new identity: move its keys folder away, then join again.',
    })
  }
  const revision = (roster.state.nodes.get(id)?.revision ?? 0) + 1
  const body = { id, name, role, labels: { ...labels }, expires, revision }
  return roster.append({ signer: authority, authorId }, { type: 'node', body })
}

/** Removes an id for good; for an admin with all that it has signed so far kept. Fails as `Roster.append` does. */
export async function removeNode({ roster, authority, authorId }: Author, id: string): Promise<Statement> {
  const head = roster.heads().find(({ author }) => author === id)
  const last = head === undefined ? { seq: 0, hash: roster.networkId } : { seq: head.seq, hash: head.hash }
  const body = roster.state.admins.has(id) ? { id, last } : { id }
  return roster.append({ signer: authority, authorId }, { type: 'node-remove', body })
}

/** Trusts a package signing key in the whole network, under a name for people. Fails as `Roster.append` does. */
export async function trustKey(
  { roster, authority, authorId }: Author,
  { publicKey, name }: { publicKey: Uint8Array; name: string },
): Promise<Statement> {
  const revision = (roster.state.keys.get(keyIdOf(publicKey))?.revision ?? 0) + 1
  const body = { key: toBase64(publicKey), name, revision }
  return roster.append({ signer: authority, authorId }, { type: 'key', body })
}
