import { WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { ANSWER_FRAME, REQUEST_FRAME, receiveFrame, sendFrame } from './channel-frames.ts'
import { ADDRESS_DIAL_TIMEOUT_MS, ADMISSION_ADDRESS_TIMEOUT_MS } from './constants.ts'
import { dialError } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import { admissionTranscript } from './proof.ts'
import { channelBinding, greetAsDialler, type Nonces } from './proof-exchange.ts'
import type { SecuredChannel } from './talking-encrypter.ts'

interface RequestAdmissionInit {
  /** The 32-byte seed of the Ed25519 key of the node that asks. */
  privateKey: Uint8Array
  /** Multiaddrs to ask at, in this order, each with `/p2p/ID` at its end. */
  addresses: readonly string[]
  /** The request to a peer, at most 4 KiB; the transcript is of this one channel, for a signature to be bound to. */
  compose: (facts: { peer: string; transcript: Uint8Array }) => Uint8Array
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
 * Asks for admission to a network whose key this node does not have, at one address after the other until one answers.
 * Needs no `Network`, leaves nothing running. An address where nobody answers costs at most 5 s, and none more than
 * 20 s; a peer that has refused is not asked again at its other addresses. Fails with `admission_refused`,
 * `peer_id_mismatch`, `protocol_unsupported`, `peer_unreachable` or `address_invalid`, with what `compose` throws, and
 * with the signal's reason.
 */
export async function requestAdmission(init: RequestAdmissionInit): Promise<Admission> {
  const file = await import('./host.ts')
  const targets = init.addresses.map((text) => ({ text, peer: peerOf(text, file) }))
  const failures: WarrenError[] = []
  const refusedBy = new Set<string>()
  for (const { text, peer } of targets) {
    init.signal?.throwIfAborted()
    if (refusedBy.has(peer)) continue
    try {
      return { peer, address: text, answer: await askAt(text, peer, init) }
    } catch (thrown) {
      init.signal?.throwIfAborted()
      if (!(thrown instanceof WarrenError) || !PASSED_OVER.some((code) => code === thrown.code)) throw thrown
      if (thrown.code === 'admission_refused') refusedBy.add(peer)
      failures.push(thrown)
    }
  }
  throw together(failures)
}

function peerOf(text: string, file: typeof import('./host.ts')): string {
  const peer = file.peerOfAddress(file.parseAddress(text))
  if (peer !== undefined) return peer
  throw netErrors.address_invalid(`"${text}" does not say whose address it is`, {
    hint: 'The id of the node belongs at its end: /p2p/12D3Koo…',
  })
}

/** The answer at one address, by a host of its own, so that no late end of an earlier one can be taken for it. */
async function askAt(address: string, peer: string, init: RequestAdmissionInit): Promise<Uint8Array> {
  const { createAskingHost, parseAddress } = await import('./host.ts')
  const ends = new AbortController()
  let patience: NodeJS.Timeout | undefined
  let whole: NodeJS.Timeout | undefined
  const signal = init.signal === undefined ? ends.signal : AbortSignal.any([ends.signal, init.signal])
  let answer: Uint8Array | undefined
  let fault: { readonly thrown: unknown } | undefined
  const compose: RequestAdmissionInit['compose'] = (facts) => {
    try {
      return composed(init.compose(facts))
    } catch (thrown) {
      fault = { thrown }
      throw thrown
    }
  }
  const host = await createAskingHost({
    privateKey: init.privateKey,
    log: init.log.child({ folder: 'net' }),
    talk: async (secured) => {
      clearTimeout(patience)
      answer = await ask(secured, { self: peerIdOf(signerFromSeed(init.privateKey).publicKey), peer, compose, signal })
      throw new Error('a connection for admission ends with it')
    },
  })
  try {
    await host.start()
    patience = setTimeout(() => ends.abort(), ADDRESS_DIAL_TIMEOUT_MS)
    whole = setTimeout(() => ends.abort(), ADMISSION_ADDRESS_TIMEOUT_MS)
    await host.dial(parseAddress(address), { signal })
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
  const transcript = admissionTranscript({ dialler: self, listener: peer, channel: protocol, binding, ...nonces })
  if (!sendFrame(channel, compose({ peer, transcript }), REQUEST_FRAME)) throw refused()
  const heard = await receiveFrame(channel, ANSWER_FRAME, signal)
  if (heard === 'left') throw refused()
  if (heard === 'late') throw late()
  if (heard === 'too long') {
    throw netErrors.protocol_unsupported(`its answer is longer than ${ANSWER_FRAME.maxBytes} bytes`)
  }
  return heard
}

async function greet({ channel }: SecuredChannel, signal: AbortSignal): Promise<Nonces> {
  try {
    return await greetAsDialler(channel, 'admission', signal)
  } catch (thrown) {
    if (signal.aborted) throw late()
    throw thrown instanceof WarrenError && thrown.code === 'network_key_mismatch' ? refused() : thrown
  }
}

function composed(message: Uint8Array): Uint8Array {
  if (message.length <= REQUEST_FRAME.maxBytes) return message
  throw new Error(`a request for admission of ${message.length} bytes is too long`)
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
