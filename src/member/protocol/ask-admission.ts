import { fromHex } from '../../base/bytes.ts'
import { toWarrenError, type WarrenError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { type Envelope, type JoinCode, readGenesis } from '../../identity/index.ts'
import { requestAdmission } from '../../net/index.ts'
import { type Admitted, encodeRenewQuestion, parseAdmitted } from '../admission-messages.ts'
import { memberErrors } from '../errors.ts'

/** Whom to ask, and where it is. */
export type AskedNode = JoinCode['admins'][number]

export interface AskOptions<T> {
  /** Seed of the node key of who asks. */
  readonly privateKey: Uint8Array
  readonly nodes: readonly AskedNode[]
  /** The request for one channel. */
  compose(transcript: Uint8Array): Uint8Array
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
    if (node.addresses.length === 0) continue
    options.onStep?.({ asking: node.id })
    yield await ask(node, options)
  }
}

async function ask<T extends object>(node: AskedNode, options: AskOptions<T>): Promise<Asked<T>> {
  const { privateKey, compose, parse, log, signal } = options
  let wasAsked = false
  try {
    const { answer } = await requestAdmission({
      privateKey,
      addresses: node.addresses.map((address) => withPeer(address, node.id)),
      compose: ({ transcript }) => {
        wasAsked = true
        return compose(transcript)
      },
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
  /** Whom to ask; members that are no admins answer too. */
  readonly admins: readonly AskedNode[]
  readonly log: Logger
  readonly signal?: AbortSignal | undefined
}

/**
 * The network keys and the genesis, from the first of these nodes that knows this one as a member. Fails with
 * `no_admin_reachable` where none answers, and with `not_admitted` where those that do say nothing to this node.
 */
export async function renewAdmission({ admins, networkId, ...rest }: RenewOptions): Promise<Renewal> {
  const asked: Asked<Admitted>[] = []
  const turns = askInTurn({ ...rest, nodes: admins, compose: () => encodeRenewQuestion(), parse: parseAdmitted })
  for await (const turn of turns) {
    asked.push(turn)
    if (turn.outcome !== 'answered') continue
    const { genesis, network_keys: keys } = turn.answer
    const { envelope } = readGenesis(Buffer.from(genesis, 'base64'), networkId)
    return { genesis: envelope, networkKeys: keys.map((key) => fromHex(key) as Uint8Array) }
  }
  const silent = asked.find(({ outcome }) => outcome === 'silence')
  if (silent !== undefined) {
    throw memberErrors.not_admitted('the nodes that were asked do not know this one as a member of their network', {
      hint: 'An admin looks whether it was removed or has expired: warren nodes',
    })
  }
  throw noAdminReachable(asked)
}

/** The error where nobody could be asked. */
export function noAdminReachable(asked: readonly Asked<object>[]): WarrenError {
  const reasons = asked.map((turn) => {
    if ('error' in turn) return turn.error.message
    return `${turn.node.id} answers but cannot admit anybody now`
  })
  return memberErrors.no_admin_reachable(
    asked.length === 0 ? 'no address of an admin is known' : `no admin could be asked: ${reasons.join('; ')}`,
    { hint: 'An admin must be running and reachable, with its authority key unlocked. Then try again.' },
  )
}

function withPeer(address: string, id: string): string {
  return address.endsWith(`/p2p/${id}`) ? address : `${address}/p2p/${id}`
}
