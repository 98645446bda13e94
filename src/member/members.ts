import type { Grant, Role } from '../api/index.ts'
import { baseErrors, toWarrenError } from '../base/errors.ts'
import type { Authority, RosterNode } from '../identity/index.ts'
import {
  addNode,
  admitAdmin,
  changeNode,
  dismissAdmin,
  publicKeyOfPeer,
  type Roster,
  removeNode,
} from '../identity/index.ts'
import type { NodeInfo } from './contract.ts'
import type { Directory } from './directory.ts'
import { memberErrors } from './errors.ts'
import { addGrant, type Narrowing, takeGrants } from './grants.ts'
import { describeId, isoTime, requireFreeName } from './named.ts'
import type { NetworkKeys } from './network-keys.ts'

export interface MembersOptions {
  readonly roster: Roster
  readonly directory: Directory
  readonly authority: Pick<Authority, 'author'>
  readonly networkKeys: Pick<NetworkKeys, 'rotate'>
  /** The public key by which that node would sign as an admin, from the node itself. */
  readonly askAuthority: (node: string, signal: AbortSignal) => Promise<Uint8Array>
}

/** A node to add, or to confirm. */
export interface AddRequest {
  /** A peer id, or the name or id of a node that waits. */
  readonly node: string
  readonly name?: string | undefined
  readonly role?: Exclude<Role, 'admin'> | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly expires_in_ms?: number | undefined
}

/** A role, or a right narrowed to apps and services. */
export interface GrantRequest extends Narrowing {
  readonly role: Role
  readonly expires_in_ms?: number | undefined
}

/** What a removal came to. */
export interface Removal {
  readonly id: string
  readonly name: string
  /** Number of the new network key; null where it was not changed. */
  readonly network_key: number | null
  readonly problem: string | null
}

/** The nodes of the network, to change. Each is named as `Directory.resolve` takes it; all fail as that and as `Roster.append`. */
export interface Members {
  info(node: string): NodeInfo
  /** Adds a stranger by its peer id, or confirms a node that waits or would expire. Fails with `node_exists`, `name_taken`. */
  add(request: AddRequest): Promise<NodeInfo>
  /** Removes for good, then changes the network key; where only that fails, `problem` says why. Fails with `node_is_self`. */
  remove(node: string): Promise<Removal>
  /** As `remove`, for an id of any kind. */
  removeId(id: string): Promise<Removal>
  /** Fails with `name_taken`, `node_waiting`. */
  rename(node: string, name: string): Promise<NodeInfo>
  /** Fails with `node_waiting`. */
  label(node: string, change: { set: Readonly<Record<string, string>>; remove: readonly string[] }): Promise<NodeInfo>
  /** Fails with `node_waiting`, `node_unreachable` (a new admin must be connected), `last_admin`. */
  grant(node: string, request: GrantRequest, signal: AbortSignal): Promise<NodeInfo>
  /** Without role, apps and services all that goes beyond a member's. Fails with `grant_not_found`, `last_admin`. */
  revoke(node: string, request: Narrowing & { readonly role?: Role | undefined }): Promise<NodeInfo>
}

/** The work behind `node add`, `remove`, `rename`, `label`, `info`, `grant` and `revoke`. */
export function createMembers(options: MembersOptions): Members {
  const { roster, directory, authority, askAuthority } = options
  const info = (node: string): NodeInfo => infoOf(options, directory.resolve(node).id)
  /** Each change of a node also confirms it, so one that waits is to be looked at first. */
  const confirmed = (node: string): RosterNode => {
    const found = roster.state.nodes.get(directory.resolve(node).id) as RosterNode
    if (!found.waiting) return found
    throw memberErrors.node_waiting(`${found.name} waits until an admin confirms it`, {
      hint: `If you know it: warren node add ${found.name}    If not: warren node remove ${found.name}`,
    })
  }
  const makeAdmin = async ({ id, name, expires: ends }: RosterNode, { expires, signal }: AdminInit): Promise<void> => {
    if (expires !== null) {
      throw baseErrors.invalid_value(`${name} cannot be admin for a time: its key would go on to sign`, {
        hint: `Give it operator for a time, or take it back later: warren revoke ${name}`,
      })
    }
    const author = authority.author()
    if (ends !== null) await changeNode(author, id, { expires: null })
    if (roster.state.admins.has(id)) return
    await admitAdmin(author, { id, authority: await askAuthority(id, signal) })
  }
  const setRole = async ({ id }: RosterNode, role: Role, change: { grants?: readonly Grant[]; expires?: number }) => {
    const isAdmin = roster.state.admins.has(id)
    const author = authority.author()
    // The last one is refused before anything is signed, and one that dismisses itself signs nothing afterwards.
    if (isAdmin && roster.state.admins.size === 1) await dismissAdmin(author, id, role)
    if (!isAdmin) await changeNode(author, id, { role, ...change })
    else if (Object.keys(change).length > 0) await changeNode(author, id, change)
    if (isAdmin) await dismissAdmin(author, id, role)
  }

  return {
    info,
    add: (request) => add(options, request),
    remove: (node) => removeId(options, directory.resolve(node).id),
    removeId: (id) => removeId(options, id),
    async rename(node, name) {
      const { id } = confirmed(node)
      requireFreeName(roster, name, id)
      await changeNode(authority.author(), id, { name })
      return infoOf(options, id)
    },
    async label(node, { set, remove }) {
      const { id, labels } = confirmed(node)
      const kept = Object.entries(labels).filter(([key]) => !remove.includes(key))
      await changeNode(authority.author(), id, { labels: { ...Object.fromEntries(kept), ...set } })
      return infoOf(options, id)
    },
    async grant(name, { role, apps, services, expires_in_ms: inMs }, signal) {
      const node = confirmed(name)
      const nowMs = roster.latestTimeMs()
      const expires = inMs === undefined ? null : nowMs + inMs
      if (apps.length + services.length > 0) {
        const grants = addGrant(node.grants, { role, apps, services, expires }, nowMs)
        await changeNode(authority.author(), node.id, { grants })
      } else {
        if (role === 'admin') await makeAdmin(node, { expires, signal })
        else await setRole(node, role, expires === null ? {} : { expires })
      }
      return infoOf(options, node.id)
    },
    async revoke(name, { role, apps, services }) {
      const node = confirmed(name)
      if (role === undefined && apps.length + services.length === 0) {
        await setRole(node, node.role === 'relay' ? 'relay' : 'member', node.grants.length > 0 ? { grants: [] } : {})
      } else {
        const { grants, taken } = takeGrants(node.grants, { role, apps, services })
        const endsRole = apps.length + services.length === 0 && role === node.role && role !== 'relay'
        if (taken === 0 && !endsRole) throw nothingToTake(node, { role, apps, services })
        if (endsRole) await setRole(node, 'member', { grants })
        else await changeNode(authority.author(), node.id, { grants })
      }
      return infoOf(options, node.id)
    },
  }
}

interface AdminInit {
  readonly expires: number | null
  readonly signal: AbortSignal
}

async function add(options: MembersOptions, request: AddRequest): Promise<NodeInfo> {
  const { roster, directory, authority } = options
  const nowMs = roster.latestTimeMs()
  const expires = request.expires_in_ms === undefined ? null : nowMs + request.expires_in_ms
  const { role, labels } = request
  const isStranger = publicKeyOfPeer(request.node) !== undefined && !roster.state.nodes.has(request.node)
  const id = isStranger ? request.node : directory.resolve(request.node).id
  if (request.name !== undefined) requireFreeName(roster, request.name, id)
  if (isStranger) {
    const name = request.name ?? `node-${id.slice(-8).toLowerCase()}`
    await addNode(authority.author(), { id, name, role: role ?? 'member', labels: labels ?? {}, expires })
    return infoOf(options, id)
  }
  const known = roster.state.nodes.get(id) as RosterNode
  if (!known.waiting && known.expires === null) {
    throw memberErrors.node_exists(`${known.name} is in the network already, as ${known.role}`, {
      hint: `Change it: warren grant ${known.name} ROLE, warren node rename|label ${known.name} …`,
    })
  }
  await changeNode(authority.author(), id, {
    // Its own word for itself may be that of another node; the state's name is unique.
    name: request.name ?? known.name,
    expires,
    ...(role === undefined ? {} : { role }),
    ...(labels === undefined ? {} : { labels: { ...known.labels, ...labels } }),
  })
  return infoOf(options, id)
}

async function removeId(options: MembersOptions, id: string): Promise<Removal> {
  const { roster, directory, authority, networkKeys } = options
  const name = describeId(roster, id)
  if (id === directory.self.id) {
    throw memberErrors.node_is_self(`${name} is this node, which does not remove itself`, {
      hint: `Run it on another admin: warren node remove ${name}`,
    })
  }
  const author = authority.author()
  await removeNode(author, id)
  try {
    await networkKeys.rotate(author)
    return { id, name, network_key: roster.state.networkKey?.revision ?? null, problem: null }
  } catch (thrown) {
    const { code, message } = toWarrenError(thrown)
    return { id, name, network_key: null, problem: `${code}: ${message}` }
  }
}

function infoOf({ roster, directory }: MembersOptions, id: string): NodeInfo {
  const node = roster.state.nodes.get(id) as RosterNode
  const view = directory.resolve(id)
  const invite = [...roster.state.invites.values()].find(({ usedBy }) => usedBy.includes(id))
  return {
    ...view,
    grants: node.grants.map(({ role, apps, services, expires }) => ({
      role,
      apps: apps === null ? null : [...apps],
      services: services === null ? null : [...services],
      expires: isoTime(expires),
    })),
    authority: roster.state.admins.get(id)?.keyId ?? null,
    invite: invite?.id ?? null,
    invited_by: invite === undefined ? null : describeId(roster, invite.author),
    changed_by: describeId(roster, node.author),
    revision: node.revision,
  }
}

function nothingToTake({ name, role }: RosterNode, asked: Narrowing & { role?: Role | undefined }): Error {
  const on = [...asked.apps.map((app) => `app ${app}`), ...asked.services.map((service) => `service ${service}`)]
  const what = [asked.role ?? 'right', ...(on.length === 0 ? [] : [`on ${on.join(', ')}`])].join(' ')
  return memberErrors.grant_not_found(`${name} has no ${what} that could be taken back; its role is ${role}`, {
    hint: `See what it may do: warren node info ${name}`,
  })
}
