import { systemClock } from '../base/clock.ts'
import { WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { ANSWER_FRAME, boundedRequest, REQUEST_FRAME, receiveFrame, sendFrame } from './channel-frames.ts'
import {
  ADDRESS_DIAL_TIMEOUT_MS,
  ADMISSION_ADDRESS_TIMEOUT_MS,
  ADMISSION_DIALS,
  ADMISSION_STAGGER_MS,
} from './constants.ts'
import { dialError } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import { relayIn } from './path/address-words.ts'
import { race } from './path/race.ts'
import { requestTranscript } from './proof.ts'
import { channelBinding, greetAsDialler, type Nonces } from './proof-exchange.ts'
import { enterPassage } from './request-passage.ts'
import type { SecuredChannel } from './talking-encrypter.ts'

interface RequestAdmissionInit {
  /** The 32-byte seed of the Ed25519 key of the node that asks. */
  privateKey: Uint8Array
  /** Multiaddrs to ask at, in this order, each with `/p2p/ID` at its end. */
  addresses: readonly string[]
  /** The request to a peer, at most 4 KiB; the transcript is of this one channel, for a signature to be bound to. */
  compose: (facts: { peer: string; transcript: Uint8Array }) => Uint8Array
  /**
   * The request to a relay to be let through to a peer, at most 4 KiB, bound to the channel with the relay. Without it
   * addresses over relays (`/…/p2p/RELAY/p2p-circuit/p2p/ID`) fail.
   */
  composePassage?: ((facts: { relay: string; peer: string; transcript: Uint8Array }) => Uint8Array) | undefined
  log: Logger
  signal?: AbortSignal | undefined
}

/** An answer to a request for admission, and who gave it at which of the addresses. */
interface Admission {
  readonly peer: string
  readonly address: string
  /** At most 64 KiB; of a peer that was authenticated, but not checked in any other way. */
  readonly answer: Uint8Array
}

/** What another address may still bring right, the one first that says most. */
const PASSED_OVER = ['admission_refused', 'peer_id_mismatch', 'protocol_unsupported', 'peer_unreachable'] as const

/**
 * Asks for admission to a network whose key this node does not have. The addresses are dialled in their order, the next one
 * where one has failed or after a quarter of a second, and whoever is reached is asked, one at a time, until one answers.
 * Needs no `Network`, leaves nothing running. An address where no port answers costs at most 5 s, one where no node
 * answers 13 s, and none more than 20 s; a peer that has refused is not asked again at its other addresses. Fails with
 * `admission_refused`, `peer_id_mismatch`, `protocol_unsupported`, `peer_unreachable` or `address_invalid`, with what
 * `compose` throws, and with the signal's reason.
 */
export async function requestAdmission(init: RequestAdmissionInit): Promise<Admission> {
  const file = await import('./host.ts')
  const targets = init.addresses.map((text) => ({ text, peer: peerOf(text, file) }))
  const failures: WarrenError[] = []
  const fault = new AbortController()
  const common: Asking = { ...init, turns: new SerialQueue(), refusedBy: new Set(), fault }
  const under: Promise<Admission>[] = []
  const attempts = targets.map((target, index) => (signal: AbortSignal) => {
    const attempt = attemptAt(target, { ...common, signal }).catch((thrown: unknown) => {
      if (thrown instanceof WarrenError && isPassedOver(thrown)) failures[index] = thrown
      else fault.abort(thrown)
      throw thrown
    })
    under.push(attempt)
    return attempt
  })
  const signal = init.signal === undefined ? fault.signal : AbortSignal.any([fault.signal, init.signal])
  try {
    return await race(attempts, { staggerMs: ADMISSION_STAGGER_MS, limit: ADMISSION_DIALS, signal, clock: systemClock })
  } catch (thrown) {
    if (signal.aborted) throw signal.reason
    if (!(thrown instanceof AggregateError)) throw thrown
    throw together(Object.values(failures))
  } finally {
    await Promise.allSettled(under)
  }
}

/** What the attempts at all addresses share. */
interface Asking extends RequestAdmissionInit {
  /** One peer is asked at a time, for each may admit this node. */
  readonly turns: SerialQueue
  readonly refusedBy: Set<string>
  /** Fires where the request itself is at fault. */
  readonly fault: AbortController
}

interface Target {
  readonly text: string
  readonly peer: string
}

async function attemptAt({ text, peer }: Target, asking: Asking & { signal: AbortSignal }): Promise<Admission> {
  for (let first = true; ; first = false) {
    if (asking.refusedBy.has(peer)) throw refused()
    try {
      return { peer, address: text, answer: await askAt(text, peer, asking) }
    } catch (thrown) {
      // The other side does not wait for the turns of others.
      if (first && thrown instanceof LeftMeanwhile) continue
      if (thrown instanceof WarrenError && thrown.code === 'admission_refused') asking.refusedBy.add(peer)
      throw thrown instanceof LeftMeanwhile ? late() : thrown
    }
  }
}

/** It closed the connection while another one was being asked. */
class LeftMeanwhile extends Error {}

function isPassedOver({ code }: WarrenError): boolean {
  return PASSED_OVER.some((known) => known === code)
}

function peerOf(text: string, file: typeof import('./host.ts')): string {
  const peer = file.peerOfAddress(file.parseAddress(text))
  if (peer !== undefined) return peer
  throw netErrors.address_invalid(`"${text}" does not say whose address it is`, {
    hint: 'The id of the node belongs at its end: /p2p/12D3Koo…',
  })
}

/** The answer at one address, by a host of its own, so that no late end of an earlier one can be taken for it. */
async function askAt(address: string, peer: string, init: Asking): Promise<Uint8Array> {
  const { createAskingHost, parseAddress } = await import('./host.ts')
  const circuit = relayIn(address)
  const ends = new AbortController()
  let patience: NodeJS.Timeout | undefined
  let whole: NodeJS.Timeout | undefined
  const signal = init.signal === undefined ? ends.signal : AbortSignal.any([ends.signal, init.signal])
  let answer: Uint8Array | undefined
  let fault: { readonly thrown: unknown } | undefined
  const compose: RequestAdmissionInit['compose'] = (facts) => {
    try {
      return boundedRequest(init.compose(facts))
    } catch (thrown) {
      fault = { thrown }
      throw thrown
    }
  }
  const self = peerIdOf(signerFromSeed(init.privateKey).publicKey)
  const log = init.log.child({ folder: 'net' })
  const inTurn = (secured: SecuredChannel) =>
    init.turns.run(async () => {
      signal.throwIfAborted()
      if (init.refusedBy.has(peer)) throw refused()
      if (secured.channel.status !== 'open') {
        fault = { thrown: new LeftMeanwhile() }
        throw fault.thrown
      }
      return ask(secured, { self, peer, compose, signal })
    })
  const host = await createAskingHost({
    privateKey: init.privateKey,
    log,
    talk: async (secured) => {
      clearTimeout(patience)
      if (circuit === undefined) answer = await inTurn(secured)
      else answer = await askOver(secured, { ...init, relay: circuit.relay, self, peer, address, signal, log, inTurn })
      throw new Error('a connection for admission ends with it')
    },
  })
  try {
    await host.start()
    patience = setTimeout(() => ends.abort(), ADDRESS_DIAL_TIMEOUT_MS)
    whole = setTimeout(() => ends.abort(), ADMISSION_ADDRESS_TIMEOUT_MS)
    const dialled = circuit === undefined ? address : `${circuit.address}/p2p/${circuit.relay}`
    await host.dial(parseAddress(dialled), { signal })
    throw new Error('a talk about admission has no end')
  } catch (thrown) {
    if (answer !== undefined) return answer
    if (fault !== undefined) throw fault.thrown
    throw dialError(thrown, address)
  } finally {
    clearTimeout(patience)
    clearTimeout(whole)
    await host.stop()
  }
}

interface AskOptions extends Pick<RequestAdmissionInit, 'compose'> {
  self: string
  peer: string
  signal: AbortSignal
}

async function ask(secured: SecuredChannel, { self, peer, compose, signal }: AskOptions): Promise<Uint8Array> {
  const { channel, protocol } = secured
  if (secured.peer !== peer) throw netErrors.peer_id_mismatch('another node answers there')
  const nonces = await greet(secured, signal)
  const binding = channelBinding(protocol, channel, 'admission')
  const context = { dialler: self, listener: peer, channel: protocol, binding, ...nonces }
  const transcript = requestTranscript('admission', context)
  if (!sendFrame(channel, compose({ peer, transcript }), REQUEST_FRAME)) throw refused()
  const heard = await receiveFrame(channel, ANSWER_FRAME, signal)
  if (heard === 'left') throw refused()
  if (heard === 'late') throw late()
  if (heard === 'too long') {
    throw netErrors.protocol_unsupported(`its answer is longer than ${ANSWER_FRAME.maxBytes} bytes`)
  }
  return heard
}

interface AskOverOptions extends Asking {
  readonly relay: string
  readonly self: string
  readonly peer: string
  readonly address: string
  readonly signal: AbortSignal
  /** The talk with the peer itself. */
  readonly inTurn: (secured: SecuredChannel) => Promise<Uint8Array>
}

/** Asks a relay to be let through, then the peer itself over a channel of its own inside. */
async function askOver(secured: SecuredChannel, options: AskOverOptions): Promise<Uint8Array> {
  const { relay, peer, address, signal, log, privateKey, inTurn } = options
  await enterPassage(secured, options)
  const { talkThrough } = await import('./host.ts')
  try {
    return await talkThrough(secured, { privateKey, peer, address, signal, log }, inTurn)
  } catch (thrown) {
    // A failed handshake inside is none of the connection with the relay, which no other way of dialling mends.
    if (thrown instanceof WarrenError || thrown instanceof LeftMeanwhile) throw thrown
    throw netErrors.peer_unreachable(`over the relay ${relay}: ${thrown instanceof Error ? thrown.message : thrown}`)
  }
}

async function greet({ channel }: SecuredChannel, signal: AbortSignal): Promise<Nonces> {
  try {
    return await greetAsDialler(channel, 'admission', signal)
  } catch (thrown) {
    if (signal.aborted) throw late()
    throw thrown instanceof WarrenError && thrown.code === 'network_key_mismatch' ? refused() : thrown
  }
}

function refused(): WarrenError {
  return netErrors.admission_refused('it closed the connection without an answer')
}

function late(): WarrenError {
  return netErrors.peer_unreachable('it gave no answer in time')
}

/** One error for all addresses. */
function together(failures: readonly WarrenError[]): WarrenError {
  const code = PASSED_OVER.find((known) => failures.some((error) => error.code === known))
  if (code === undefined) return netErrors.peer_unreachable('no address to ask for admission at')
  const first = failures.find((error) => error.code === code)
  const hint = first?.hint === undefined ? {} : { hint: first.hint }
  return netErrors[code](failures.map((error) => error.message).join('; '), { ...hint, cause: first })
}
