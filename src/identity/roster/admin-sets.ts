import { timingSafeEqual } from 'node:crypto'
import { keyIdOf } from '../ed25519.ts'
import type { Body } from './bodies.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Admin, Genesis } from './genesis.ts'
import type { StatementSet, Verified } from './statement-set.ts'

/** A version of the admin set. Versions form a tree, because two admins may each propose the next one. */
export interface AdminSet {
  /** Hash of the statement that makes it; of the genesis for version 1. */
  readonly hash: string
  readonly version: number
  readonly admins: ReadonlyMap<string, Admin>
  /** Ids that were in a version before and left: they do not come back. */
  readonly left: ReadonlySet<string>
  readonly parent: AdminSet | undefined
  readonly statement: Verified | undefined
}

/**
 * Every version that is well made and signed under the version it follows, by hash. Which of them hold is for the
 * evaluation to say, with cut-offs and forks.
 */
export function buildAdminSets(genesis: Genesis, statements: StatementSet): Map<string, AdminSet> {
  const sets = new Map<string, AdminSet>()
  sets.set(genesis.networkId, {
    hash: genesis.networkId,
    version: 1,
    admins: new Map(genesis.admins.map((admin) => [admin.id, admin])),
    left: new Set(),
    parent: undefined,
    statement: undefined,
  })
  const proposals: [Verified, Body<'admins'>][] = []
  for (const statement of statements.ofType('admins')) {
    if (statement.known?.type === 'admins') proposals.push([statement, statement.known.body])
  }
  proposals.sort(([, a], [, b]) => a.version - b.version)
  for (const [statement, body] of proposals) {
    const parent = sets.get(body.previous)
    const set = parent && nextSet(parent, { statement, body, root: genesis.root })
    if (set !== undefined) sets.set(set.hash, set)
  }
  return sets
}

/** The keys that an author signs with: for `root` the root key, for a node those of the sets that name it. */
export function authorKeys(
  author: string,
  genesis: Genesis,
  sets: ReadonlyMap<string, AdminSet>,
): Map<string, Uint8Array> {
  if (author === ROOT_AUTHOR) return new Map([[keyIdOf(genesis.root), genesis.root]])
  const keys = new Map<string, Uint8Array>()
  for (const set of sets.values()) {
    const admin = set.admins.get(author)
    if (admin !== undefined) keys.set(admin.keyId, admin.authority)
  }
  return keys
}

function nextSet(
  parent: AdminSet,
  { statement, body, root }: { statement: Verified; body: Body<'admins'>; root: Uint8Array },
): AdminSet | undefined {
  const byRoot = statement.author === ROOT_AUTHOR
  if (!byRoot && parent.admins.get(statement.author)?.keyId !== statement.signedBy) return undefined
  if (body.version !== parent.version + 1 || !timingSafeEqual(body.root, root)) return undefined
  const admins = new Map(body.admins.map(({ id, authority }) => [id, { id, authority, keyId: keyIdOf(authority) }]))
  if (admins.size !== body.admins.length) return undefined
  for (const [id, admin] of admins) {
    const before = parent.admins.get(id)
    // An authority key is for life: a new one would make two writers of one log.
    if (parent.left.has(id) || (before !== undefined && before.keyId !== admin.keyId)) return undefined
  }
  const leaving = [...parent.admins.keys()].filter((id) => !admins.has(id)).sort()
  const named = body.removed.map(({ id }) => id).sort()
  if (leaving.length !== named.length || leaving.some((id, index) => id !== named[index])) return undefined
  return {
    hash: statement.hash,
    version: body.version,
    admins,
    left: new Set([...parent.left, ...leaving]),
    parent,
    statement,
  }
}
