import type { Envelope, Roster } from '../identity/index.ts'
import type { StatementView } from './contract.ts'
import { describeId } from './named.ts'

export interface LogRequest {
  /** Id of an admin, or `root`; undefined: all. */
  readonly author?: string | undefined
  /** At most so many, the newest. */
  readonly tail: number
}

/** The statements that the roster holds in words, in the order of their times. */
export function readStatementLog(roster: Roster, { author, tail }: LogRequest): StatementView[] {
  return roster
    .entriesAfter([])
    .map(parse)
    .filter((statement) => author === undefined || statement.author === author)
    .sort((a, b) => a.time - b.time || a.author.localeCompare(b.author) || a.seq - b.seq)
    .slice(-tail)
    .map(({ author: by, seq, time, type, body }) => ({
      author: describeId(roster, by),
      author_id: by,
      seq,
      time: new Date(time).toISOString(),
      type,
      what: describe(roster, type, body),
    }))
}

interface Header {
  readonly author: string
  readonly seq: number
  readonly time: number
  readonly type: string
  readonly body: Body
}
/** A body as some release wrote it: only what has the right type is shown. */
type Body = Readonly<Record<string, unknown>>

/** The roster holds only what it has parsed. */
function parse({ payload }: Envelope): Header {
  return JSON.parse(Buffer.from(payload).toString('utf8')) as Header
}

function describe(roster: Roster, type: string, body: Body): string {
  const id = (value: unknown): string => describeId(roster, String(value))
  const words: Record<string, () => string> = {
    node: () => describeNode(body),
    'node-remove': () => `${id(body.id)} was removed for good`,
    invite: () =>
      `invited ${body.name ?? 'a node'} as ${body.role}, ${countOf(body.uses)}, until ${dateOf(body.expires)}`,
    'invite-close': () => `invite ${shortOf(body.invite)} was closed`,
    'network-key': () => `network key number ${body.revision}`,
    key: () => `signing key of ${body.name} is trusted${untilOf(body.expires)}`,
    'key-revoke': () => {
      const kept = Array.isArray(body.keep) ? body.keep.length : 0
      const name = roster.state.revokedKeys.get(String(body.key))?.name ?? shortOf(body.key)
      const stay = kept === 1 ? '1 package stays' : `${kept} packages stay`
      return `signing key of ${name} is revoked${kept === 0 ? '' : `; ${stay} accepted`}`
    },
    policy: () => `policy ${body.name}${body.removed === true ? ' was removed' : ''}`,
    admins: () => `admins number ${body.version}: ${idsOf(body.admins).map(id).join(', ')}${leavers(body, id)}`,
    checkpoint: () => `checkpoint, part ${body.part} of ${body.parts}`,
  }
  return words[type]?.() ?? `a statement of a newer release: ${type}`
}

function describeNode({ id, name, role, kind, labels, expires, grants, invite }: Body): string {
  const what = kind === 'token' ? 'token' : 'node'
  const pairs = Object.entries((labels ?? {}) as Record<string, unknown>).map(([key, value]) => `${key}=${value}`)
  const narrowed = Array.isArray(grants) ? grants.map((grant) => `, ${describeGrant(grant)}`).join('') : ''
  const by = typeof invite === 'string' ? `, by invite ${shortOf(invite)}` : ''
  const labelled = pairs.length === 0 ? '' : `, ${pairs.join(',')}`
  return `${what} ${name} (…${String(id).slice(-8)}) is ${role}${narrowed}${labelled}${untilOf(expires)}${by}`
}

/** `operator of api, web-*`. */
function describeGrant(grant: Body | null): string {
  const { role, apps, services } = grant ?? {}
  const on = [...listOf(apps), ...listOf(services).map((service) => `service ${service}`)]
  return `${role} of ${on.join(', ')}`
}

function listOf(list: unknown): unknown[] {
  return Array.isArray(list) ? list : []
}

function leavers({ removed }: Body, id: (value: unknown) => string): string {
  const ids = idsOf(removed)
  return ids.length === 0 ? '' : `; no longer: ${ids.map(id).join(', ')}`
}

function idsOf(list: unknown): unknown[] {
  return Array.isArray(list) ? list.map((each: { id?: unknown } | null) => each?.id) : []
}

function countOf(uses: unknown): string {
  return uses === 1 ? 'once' : `${uses} times`
}

function untilOf(expires: unknown): string {
  return typeof expires === 'number' ? ` until ${dateOf(expires)}` : ''
}

function dateOf(timeMs: unknown): string {
  return typeof timeMs === 'number' && Math.abs(timeMs) < 8e15
    ? `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
    : 'a time unknown'
}

function shortOf(hex: unknown): string {
  return String(hex).slice(0, 8)
}
