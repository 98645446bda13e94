import type { Authority, CodeNodes, Roster, RosterInvite } from '../identity/index.ts'
import { closeInvite, createInvite, createJoinSecret, encodeJoinCode, inviteSignerOf } from '../identity/index.ts'
import type { InviteView } from './contract.ts'
import { memberErrors } from './errors.ts'
import { describeId, requireFreeName } from './named.ts'

export interface InvitesOptions {
  readonly roster: Roster
  readonly authority: Pick<Authority, 'author'>
  /** Whom a new node may ask, this node first, and over which relays. */
  readonly nodes: () => CodeNodes
}

/** What an invite is to say. */
export interface InviteRequest {
  readonly name?: string | undefined
  readonly role: InviteView['role']
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds from now. */
  readonly ttl_ms: number
  readonly uses: number
}

/** The invites of the network. */
export interface Invites {
  /** Makes an invite and its code. Fails with `name_taken`, and as `createInvite`. */
  create(request: InviteRequest): Promise<InviteView & { code: string }>
  /** Newest first. */
  list(): InviteView[]
  /** Ends the invite of that id, or unique start of one. Fails with `invite_not_found`, and as `closeInvite`. */
  close(text: string): Promise<InviteView>
}

/** The work behind `node invite`, `node invites` and `node uninvite`. */
export function createInvites({ roster, authority, nodes }: InvitesOptions): Invites {
  const list = (): InviteView[] =>
    [...roster.state.invites.values()]
      .sort((a, b) => b.timeMs - a.timeMs || a.id.localeCompare(b.id))
      .map((invite) => viewOf(roster, invite))
  const find = (text: string): InviteView => {
    const found = list().filter(({ id }) => id.startsWith(text.toLowerCase()))
    const [only] = found
    if (only !== undefined && found.length === 1) return only
    throw memberErrors.invite_not_found(
      found.length === 0 ? `no invite "${text}" in this network` : `"${text}" is the start of ${found.length} invites`,
      { hint: 'See them: warren invites' },
    )
  }
  const get = (id: string): InviteView => viewOf(roster, roster.state.invites.get(id) as RosterInvite)
  return {
    list,
    async create({ name, role, labels, ttl_ms: ttlMs, uses }) {
      if (name !== undefined) requireFreeName(roster, name)
      const author = authority.author()
      const secret = createJoinSecret()
      const { publicKey, keyId } = inviteSignerOf(secret)
      const expires = roster.latestTimeMs() + ttlMs
      await createInvite(author, { publicKey, name: name ?? null, role, labels, expires, uses })
      return { ...get(keyId), code: encodeJoinCode({ networkId: roster.networkId, secret, ...nodes() }) }
    },
    async close(text) {
      const { id } = find(text)
      await closeInvite(authority.author(), id)
      return get(id)
    },
  }
}

function viewOf(roster: Roster, invite: RosterInvite): InviteView {
  const { nodes, removed } = roster.state
  const { id, name, role, labels, uses, usedBy, author, timeMs, expires } = invite
  return {
    id,
    name,
    role,
    labels: { ...labels },
    uses,
    joined: usedBy.map((node) => ({
      id: node,
      name: describeId(roster, node),
      state: removed.has(node) ? ('removed' as const) : nodes.get(node)?.waiting ? ('waiting' as const) : 'member',
    })),
    created: new Date(timeMs).toISOString(),
    expires: new Date(expires).toISOString(),
    by: describeId(roster, author),
    state: stateOf(invite, roster.latestTimeMs()),
  }
}

function stateOf({ closed, usedBy, uses, expires }: RosterInvite, nowMs: number): InviteView['state'] {
  if (usedBy.length >= uses) return 'used'
  if (closed) return 'closed'
  return nowMs >= expires ? 'expired' : 'open'
}
