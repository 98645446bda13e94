import { timingSafeEqual } from 'node:crypto'
import { keyIdOf } from '../ed25519.ts'
import type { Body } from './bodies.ts'
import { ROOT_AUTHOR } from './constants.ts'
import type { Admin, Genesis } from './genesis.ts'
import { readLog } from './log-line.ts'
import type { StatementSet, Verified } from './statement-set.ts'

/** A version of the admin set. Versions form a tree, because two admins may each propose the next one. */
export interface AdminSet {
  /** Hash of the statement that makes it; of the genesis for version 1. */
  readonly hash: string
  readonly version: number
  readonly admins: ReadonlyMap<string, Admin>
  /** Ids that were in a version before and left: they do not come back. */
  readonly left: { has(id: string): boolean; next(leaving: readonly string[]): AdminSet['left'] }
  /** The root key, as this version names it. */
  readonly root: Uint8Array
  readonly parent: AdminSet | undefined
  readonly statement: Verified | undefined
}

/**
 * Every version that is well made and signed under the version it follows, by hash. Which of them hold is for the
 * evaluation to say, with cut-offs and forks. Of the root only what its log says before any fork, and of two that
 * follow one version the earlier: nothing could ever cut the rest.
 */
export function buildAdminSets(genesis: Genesis, statements: StatementSet): Map<string, AdminSet> {
  const sets = new Map<string, AdminSet>()
  sets.set(genesis.networkId, {
    hash: genesis.networkId,
    version: 1,
    admins: new Map(genesis.admins.map((admin) => [admin.id, admin])),
    left: new Left(1),
    root: genesis.root,
    parent: undefined,
    statement: undefined,
  })
  const ofRoot = readLog(ROOT_AUTHOR, { networkId: genesis.networkId, statements, isCut: () => false }).accepted
  const ofAdmins = statements.ofType('admins').filter(({ author }) => author !== ROOT_AUTHOR)
  const proposals: [Verified, Body<'admins'>][] = []
  for (const statement of [...ofRoot, ...ofAdmins]) {
    const body = bodyOf(statement)
    if (body !== undefined) proposals.push([statement, body])
  }
  proposals.sort(([, a], [, b]) => a.version - b.version)
  const decided = new Set<string>()
  for (const [statement, body] of proposals) {
    const parent = sets.get(body.previous)
    const set = parent && nextSet(parent, statement, body)
    const byRoot = statement.author === ROOT_AUTHOR
    if (set === undefined || (byRoot && decided.has(body.previous))) continue
    if (byRoot) decided.add(body.previous)
    sets.set(set.hash, set)
  }
  return sets
}

/** Ids by the version that they left with, along versions of which each follows the one before. */
interface LeftLine {
  readonly since: Map<string, number>
  last: number
}

/** Who left on the way to a version. Versions in a row share what they know, or thousands of them would fill the memory. */
class Left {
  readonly #version: number
  readonly #line: LeftLine
  /** What was before the line branched off. */
  readonly #before: Left | undefined

  constructor(version: number, line: LeftLine = { since: new Map(), last: version }, before?: Left) {
    this.#version = version
    this.#line = line
    this.#before = before
  }
  has(id: string): boolean {
    const since = this.#line.since.get(id)
    return (since !== undefined && since <= this.#version) || this.#before?.has(id) === true
  }
  /** That of the version after this one, with those who leave by it. */
  next(leaving: readonly string[]): Left {
    const version = this.#version + 1
    const goesOn = this.#line.last === this.#version
    const line = goesOn ? this.#line : { since: new Map<string, number>(), last: version }
    line.last = version
    for (const id of leaving) line.since.set(id, version)
    return new Left(version, line, goesOn ? this.#before : this)
  }
}

/**
 * Adds what follows from one more statement of an admin, as `buildAdminSets` would: to build thousands of them anew for
 * each would stop a node. False where they must be built anew, because the root has something to say of it.
 */
export function growAdminSets(sets: Map<string, AdminSet>, added: Verified, statements: StatementSet): boolean {
  for (const grown = [added]; ; ) {
    const statement = grown.pop()
    if (statement === undefined) return true
    if (statement.author === ROOT_AUTHOR) return false
    const body = bodyOf(statement)
    const parent = body && sets.get(body.previous)
    const set = parent && nextSet(parent, statement, body)
    if (set === undefined) continue
    sets.set(set.hash, set)
    grown.push(...statements.ofType('admins').filter((each) => bodyOf(each)?.previous === set.hash))
  }
}

/** The keys that an admin signs with, by key id: those of all sets that name it. Not for `root`: see `Verified.nextRoot`. */
export function authorKeys(author: string, sets: ReadonlyMap<string, AdminSet>): Map<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>()
  for (const set of sets.values()) {
    const admin = set.admins.get(author)
    if (admin !== undefined) keys.set(admin.keyId, admin.authority)
  }
  return keys
}

function nextSet(parent: AdminSet, statement: Verified, body: Body<'admins'>): AdminSet | undefined {
  const byRoot = statement.author === ROOT_AUTHOR
  if (!byRoot && parent.admins.get(statement.author)?.keyId !== statement.signedBy) return undefined
  // Only the root names another root, and then both have signed: that is what `nextRoot` says.
  const root = statement.nextRoot ?? parent.root
  if (body.version !== parent.version + 1 || !timingSafeEqual(body.root, root)) return undefined
  const admins = adminsOf(body)
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
    left: parent.left.next(leaving),
    root,
    parent,
    statement,
  }
}

function bodyOf({ known }: Verified): Body<'admins'> | undefined {
  return known?.type === 'admins' ? known.body : undefined
}

/** Worked out once for each statement: sets are built at every change. */
function adminsOf(body: Body<'admins'>): ReadonlyMap<string, Admin> {
  const known = ADMINS.get(body)
  if (known !== undefined) return known
  const admins = new Map(body.admins.map(({ id, authority }) => [id, { id, authority, keyId: keyIdOf(authority) }]))
  ADMINS.set(body, admins)
  return admins
}
const ADMINS = new WeakMap<Body<'admins'>, ReadonlyMap<string, Admin>>()
