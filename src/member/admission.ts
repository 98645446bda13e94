import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { TellDecision } from '../base/decisions.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import {
  type Author,
  addNode,
  admitAdmin,
  encodeEnvelope,
  isJoinSigned,
  type Roster,
  type RosterInvite,
} from '../identity/index.ts'
import type { AdmissionRequest, AdmissionServer } from '../net/index.ts'
import {
  type AdmissionRefusal,
  type Admitted,
  encodeAnswer,
  type Joined,
  type JoinQuestion,
  parseQuestion,
} from './admission-messages.ts'
import { createPassageRules } from './passages.ts'
import type { Standing } from './standing.ts'

/** A name for who has not asked for one. */
const DEFAULT_NAME = 'node'
const MAX_NAME_LETTERS = 63

export interface AdmissionOptions {
  readonly roster: Roster
  readonly selfId: string
  readonly standing: Pick<Standing, 'isCurrent'>
  /** Undefined where this node is no admin, or its authority key is locked. */
  author(): Author | undefined
  /** The network keys that a new node needs, newest first; none that is not known to be the network's. */
  keys(): Uint8Array[]
  readonly clock: Clock
  readonly log: Logger
  readonly tell: TellDecision
}

/**
 * Lets nodes in: new ones that hold the secret of an invite, and members that were away while the network key changed.
 * Whoever knows no secret hears nothing; who knows one hears why it is of no use.
 */
export function createAdmission(options: AdmissionOptions): AdmissionServer {
  const { roster, selfId, standing } = options
  // The last use of an invite is given once.
  const queue = new SerialQueue()
  const passages = createPassageRules(options)
  return {
    isOpen: (peer) => {
      if (roster.rightsOf(peer) !== undefined) return true
      if (!roster.state.admins.has(selfId)) return false
      return passages.isOpen()
    },
    passages,
    answer: async (request) => {
      const question = parseQuestion(request.message)
      if (question.type === 'join') return queue.run(() => join(question, request, options))
      if (roster.rightsOf(request.peer) === undefined) throw new Error('it is no member of this network')
      if (!standing.isCurrent()) return encodeAnswer({ refused: 'not_current' })
      tellJoin(options, request, { outcome: 'done', subject: 'renewal of the network key' })
      return encodeAnswer(admittedOf(options))
    },
  }
}

async function join(question: JoinQuestion, request: AdmissionRequest, options: AdmissionOptions): Promise<Uint8Array> {
  request.signal.throwIfAborted()
  const { roster, log } = options
  const { peer, transcript } = request
  const invite = roster.state.invites.get(question.invite)
  if (invite === undefined || !isJoinSigned(invite.publicKey, transcript, question.signature)) {
    throw new Error('it does not hold the secret of an invite of this network')
  }
  const subject = `invite ${invite.id.slice(0, 8)}`
  const refused = refusalOf(invite, peer, options)
  if (refused !== undefined) {
    tellJoin(options, request, { outcome: 'refused', subject, reason: refused })
    return encodeAnswer({ refused })
  }
  const author = options.author()
  if (author === undefined) {
    tellJoin(options, request, { outcome: 'refused', subject, reason: 'no_admin' })
    return encodeAnswer({ refused: 'no_admin' })
  }
  const name = await admit({ author, invite, question, peer })
  log.info({ peer, name, invite: invite.id }, 'a node has joined the network')
  tellJoin(options, request, { outcome: 'allowed', subject: `${subject} for ${name}` })
  const role = roster.state.admins.has(peer) ? 'admin' : (roster.state.nodes.get(peer)?.role ?? invite.role)
  const joined: Joined = { ...admittedOf(options), name, role }
  return encodeAnswer(joined)
}

function refusalOf(
  invite: RosterInvite,
  peer: string,
  { roster, standing }: AdmissionOptions,
): AdmissionRefusal | undefined {
  if (roster.state.removed.has(peer)) return 'node_removed'
  if (!standing.isCurrent()) return 'not_current'
  // It would have the network key of today, which is kept from it until an admin confirms it.
  if (roster.state.nodes.get(peer)?.waiting === true) return 'invite_used'
  // Asked again after the answer was lost: it is in already, and takes no second use.
  if (isIn(roster, invite, peer)) return undefined
  if (invite.usedBy.length >= invite.uses) return 'invite_used'
  if (invite.closed) return 'invite_closed'
  return roster.latestTimeMs() >= invite.expires ? 'invite_expired' : undefined
}

/** True where the node joined by this invite, or is in by another way. */
function isIn(roster: Roster, invite: RosterInvite, peer: string): boolean {
  return roster.rightsOf(peer) !== undefined || roster.state.nodes.get(peer)?.invite === invite.id
}

/** Makes the statements that are still missing, and gives the node's name. */
async function admit({
  author,
  invite,
  question,
  peer,
}: {
  author: Author
  invite: RosterInvite
  question: JoinQuestion
  peer: string
}): Promise<string> {
  const { roster } = author
  if (!isIn(roster, invite, peer)) {
    const name = freeName(roster, invite.name ?? question.name ?? DEFAULT_NAME)
    const { role, labels, id } = invite
    await addNode(author, { id: peer, name, role, labels, invite: id })
  }
  const node = roster.state.nodes.get(peer)
  // Also where the statement before was made and this one was not.
  const isDue = invite.role === 'admin' && !invite.closed && node?.invite === invite.id && !node.waiting
  if (isDue && !roster.state.admins.has(peer)) {
    await admitAdmin(author, { id: peer, authority: question.authority })
  }
  return node?.name ?? DEFAULT_NAME
}

/** The name, or the first of `name-2`, `name-3` … that no node has. */
function freeName(roster: Roster, wanted: string): string {
  const taken = new Set([...roster.state.nodes.values()].map(({ name }) => name))
  for (let count = 1; ; count++) {
    const end = count === 1 ? '' : `-${count}`
    const name = `${wanted.slice(0, MAX_NAME_LETTERS - end.length)}${end}`
    if (!taken.has(name)) return name
  }
}

function admittedOf({ roster, keys }: AdmissionOptions): Admitted {
  return {
    network: roster.networkId,
    genesis: encodeEnvelope(roster.genesis.envelope).toString('base64'),
    network_keys: keys().map((key) => toHex(key)),
  }
}

function tellJoin(
  { tell }: AdmissionOptions,
  { peer, address }: AdmissionRequest,
  decision: Pick<Parameters<TellDecision>[0], 'outcome' | 'subject' | 'reason'>,
): void {
  tell({ what: 'join', by: peer, ...decision, detail: { address } })
}
