import { fromHex } from '../../base/bytes.ts'
import { toWarrenError, type WarrenError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { type CodeAdmin, type Envelope, readGenesis } from '../../identity/index.ts'
import { requestAdmission } from '../../net/index.ts'
import { type Admitted, encodeRenewQuestion, parseAdmitted } from '../admission-messages.ts'
import { memberErrors } from '../errors.ts'

/** Whom to ask, and where it is. */
export type AskedNode = CodeAdmin

export interface AskOptions<T> {
  /** Seed of the node key of who asks. */
  readonly privateKey: Uint8Array
  readonly nodes: readonly AskedNode[]
  /** Over which they may be reached too. */
  readonly relays: readonly AskedNode[]
  /** The request for one channel. */
  compose(transcript: Uint8Array): Uint8Array
  /** The request to a relay to be let through to a node, for one channel. */
  composePassage(to: string, transcript: Uint8Array): Uint8Array
  parse(answer: Uint8Array): T | { refused: string }
  readonly log: Logger
  readonly signal?: AbortSignal | undefined
  readonly onStep?: ((step: { asking: string }) => void) | undefined
}

/** How asking one node ended. `unsaid`: it was asked, and whether it has done something is not known. */
export type Asked<T> =
  | { readonly outcome: 'answered'; readonly node: AskedNode; readonly answer: T }
  | { readonly outcome: 'refused'; readonly node: AskedNode; readonly code: string }
  | { readonly outcome: 'silence' | 'unsaid' | 'unreachable'; readonly node: AskedNode; readonly error: WarrenError }

/**
 * Asks one node after the other and gives how each ended, until the caller leaves the loop. Fails with the signal's
 * reason only.
 */
export async function* askInTurn<T extends object>(options: AskOptions<T>): AsyncGenerator<Asked<T>> {
  for (const node of options.nodes) {
    const addresses = waysTo(node, options.relays)
    if (addresses.length === 0) continue
    options.onStep?.({ asking: node.id })
    yield await ask(node, addresses, options)
  }
}

/** Its own addresses, then those over the relays. */
function waysTo({ id, addresses }: AskedNode, relays: readonly AskedNode[]): string[] {
  const relayed = relays
    .filter((relay) => relay.id !== id)
    .flatMap((relay) => relay.addresses.map((address) => `${withPeer(address, relay.id)}/p2p-circuit/p2p/${id}`))
  return [...addresses.map((address) => withPeer(address, id)), ...relayed]
}

async function ask<T extends object>(
  node: AskedNode,
  addresses: readonly string[],
  options: AskOptions<T>,
): Promise<Asked<T>> {
  const { privateKey, compose, composePassage, parse, log, signal } = options
  let wasAsked = false
  try {
    const { answer } = await requestAdmission({
      privateKey,
      addresses,
      compose: ({ transcript }) => {
        wasAsked = true
        return compose(transcript)
      },
      composePassage: ({ peer, transcript }) => composePassage(peer, transcript),
      log,
      signal,
    })
    const parsed = parse(answer)
    if ('refused' in parsed) return { outcome: 'refused', node, code: parsed.refused }
    return { outcome: 'answered', node, answer: parsed }
  } catch (thrown) {
    signal?.throwIfAborted()
    const error = toWarrenError(thrown)
    log.debug({ peer: node.id, err: error }, 'no admission by this node')
    if (error.code === 'admission_refused') return { outcome: 'silence', node, error }
    return { outcome: wasAsked ? 'unsaid' : 'unreachable', node, error }
  }
}

/** What a member that was away gets. */
export interface Renewal {
  readonly genesis: Envelope
  /** Newest first. */
  readonly networkKeys: Uint8Array[]
}

export interface RenewOptions {
  /** Seed of the node key, or of a deploy token. */
  readonly privateKey: Uint8Array
  readonly networkId: string
  /** Whom to ask, all alike: members that are no admins answer too. */
  readonly nodes: readonly AskedNode[]
  readonly log: Logger
  readonly signal?: AbortSignal | undefined
}

/**
 * The network keys and the genesis, from the first of these nodes that answers. Fails with
 * `no_admin_reachable` where none answers, and with `not_admitted` where those that do say nothing to this node.
 */
export async function renewAdmission({ nodes, networkId, ...rest }: RenewOptions): Promise<Renewal> {
  const asked: Asked<Admitted>[] = []
  for (let left = nodes.filter(({ addresses }) => addresses.length > 0); left.length > 0; ) {
    const turn = await askAnyOf(left, rest)
    if (turn === undefined) break
    asked.push(turn)
    if (turn.outcome === 'silence') {
      throw memberErrors.not_admitted('the nodes that were asked do not know this one as a member of their network', {
        hint: 'An admin looks whether it was removed or has expired: warren nodes',
      })
    }
    if (turn.outcome === 'answered') {
      const { genesis, network_keys: keys } = turn.answer
      const { envelope } = readGenesis(Buffer.from(genesis, 'base64'), networkId)
      return { genesis: envelope, networkKeys: keys.map((key) => fromHex(key) as Uint8Array) }
    }
    if (turn.outcome === 'unreachable') break
    left = left.filter(({ id }) => id !== turn.node.id)
  }
  throw noAdminReachable(asked)
}

/** The first answer among nodes that are dialled one shortly after the other. */
async function askAnyOf(
  nodes: readonly AskedNode[],
  { privateKey, log, signal }: Omit<RenewOptions, 'nodes' | 'networkId'>,
): Promise<Asked<Admitted> | undefined> {
  const [first] = nodes
  if (first === undefined) return undefined
  try {
    const { peer, answer } = await requestAdmission({
      privateKey,
      addresses: inTurns(nodes),
      compose: () => encodeRenewQuestion(),
      log,
      signal,
    })
    const node = nodes.find(({ id }) => id === peer) ?? first
    const parsed = parseOrRefused(answer)
    return 'refused' in parsed
      ? { outcome: 'refused', node, code: parsed.refused }
      : { outcome: 'answered', node, answer: parsed }
  } catch (thrown) {
    signal?.throwIfAborted()
    const error = toWarrenError(thrown)
    log.debug({ err: error }, 'no admission by these nodes')
    return { outcome: error.code === 'admission_refused' ? 'silence' : 'unreachable', node: first, error }
  }
}

/** An answer that is none is as good as a refusal: the next node is asked. */
function parseOrRefused(answer: Uint8Array): ReturnType<typeof parseAdmitted> {
  try {
    return parseAdmitted(answer)
  } catch {
    return { refused: 'unreadable' }
  }
}

/** The first address of each, then the second of each, and so on. */
function inTurns(nodes: readonly AskedNode[]): string[] {
  const most = Math.max(...nodes.map(({ addresses }) => addresses.length))
  return Array.from({ length: most }, (_, turn) => turn).flatMap((turn) =>
    nodes.flatMap(({ id, addresses }) => {
      const address = addresses[turn]
      return address === undefined ? [] : [withPeer(address, id)]
    }),
  )
}

const WHEN_UNREACHABLE = `An admin must be running, with its authority key unlocked, and this machine must reach it, or a relay of its network.
Where all admins are behind routers, begin on a machine that can be reached, or lead it to one: warren join CODE --at ADDRESS`

/** The error where nobody could be asked. */
export function noAdminReachable(asked: readonly Asked<object>[]): WarrenError {
  const reasons = asked.map((turn) => {
    if ('error' in turn) return turn.error.message
    return `${turn.node.id} answers but cannot admit anybody now`
  })
  return memberErrors.no_admin_reachable(
    asked.length === 0 ? 'no address of an admin is known' : `no admin could be asked: ${reasons.join('; ')}`,
    { hint: WHEN_UNREACHABLE },
  )
}

function withPeer(address: string, id: string): string {
  return address.endsWith(`/p2p/${id}`) ? address : `${address}/p2p/${id}`
}
