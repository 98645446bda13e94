import { randomBytes } from 'node:crypto'
import type { Authority, CodeNodes, Roster, RosterNode } from '../identity/index.ts'
import { addNode, encodeToken, peerIdOf, signerFromSeed } from '../identity/index.ts'
import type { TokenView } from './contract.ts'
import { memberErrors } from './errors.ts'
import type { Removal } from './members.ts'
import { describeId, isoTime, requireFreeName } from './named.ts'

const SEED_BYTES = 32

export interface TokensOptions {
  readonly roster: Roster
  readonly authority: Pick<Authority, 'author'>
  /** Whom a job may ask for the way in, this node first, and over which relays. */
  readonly nodes: () => CodeNodes
  /** Removes an id for good and changes the network key, which its holder had. */
  readonly remove: (id: string) => Promise<Removal>
}

/** What a token is to be. */
export interface TokenRequest {
  readonly name: string
  readonly role: 'viewer' | 'operator'
  /** Empty: all apps. */
  readonly apps: readonly string[]
  /** Milliseconds from now; undefined: it never expires. */
  readonly expires_in_ms?: number | undefined
}

/** The deploy tokens of the network. */
export interface Tokens {
  /** Makes an identity and its token. Fails with `name_taken`, and as `addNode`. */
  create(request: TokenRequest): Promise<TokenView & { token: string }>
  /** By name. */
  list(): TokenView[]
  /** Ends the token of that name or id for good. Fails with `token_not_found`, and as `removeNode`. */
  remove(text: string): Promise<Removal>
}

/** The work behind `token create`, `token list` and `token remove`. */
export function createTokens({ roster, authority, nodes, remove }: TokensOptions): Tokens {
  const tokens = (): RosterNode[] => [...roster.state.nodes.values()].filter(({ kind }) => kind === 'token')
  const list = (): TokenView[] =>
    tokens()
      .map((token) => viewOf(roster, token))
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  return {
    list,
    async create({ name, role, apps, expires_in_ms: expiresInMs }) {
      requireFreeName(roster, name)
      const author = authority.author()
      const seed = new Uint8Array(randomBytes(SEED_BYTES))
      const id = peerIdOf(signerFromSeed(seed).publicKey)
      const expires = expiresInMs === undefined ? null : roster.latestTimeMs() + expiresInMs
      const narrowed = apps.length > 0
      await addNode(author, {
        id,
        name,
        kind: 'token',
        // A narrowed one gets its right by the grant alone.
        role: narrowed ? 'member' : role,
        grants: narrowed ? [{ role, apps: [...apps], services: null, expires: null }] : [],
        expires,
      })
      const token = encodeToken({ networkId: roster.networkId, seed, ...nodes() })
      return { ...viewOf(roster, roster.state.nodes.get(id) as RosterNode), token }
    },
    async remove(text) {
      const found = tokens().find(({ name, id }) => name === text || id === text)
      if (found === undefined) {
        throw memberErrors.token_not_found(`no deploy token "${text}" in this network`, {
          hint: 'See them: warren tokens',
        })
      }
      return await remove(found.id)
    },
  }
}

function viewOf(roster: Roster, { id, name, role, grants, expires, author }: RosterNode): TokenView {
  const [grant] = grants
  return {
    id,
    name,
    role: grant?.role ?? role,
    apps: grant === undefined ? null : [...(grant.apps ?? [])],
    expires: isoTime(expires),
    by: describeId(roster, author),
    state: roster.rightsOf(id) === undefined ? 'expired' : 'valid',
  }
}
