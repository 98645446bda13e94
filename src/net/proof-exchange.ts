import { randomBytes } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import type { MessageStream } from '@libp2p/interface'
import { closedChannel, PROOF_FRAME, receiveFrame, sendFrame } from './channel-frames.ts'
import { REFUSAL_LINGER_MS } from './constants.ts'
import { netErrors } from './errors.ts'
import {
  type ChannelContext,
  checkDiallerProof,
  checkListenerAnswer,
  decodeHello,
  encodeDiallerProof,
  encodeHello,
  encodeListenerAnswer,
  NONCE_BYTES,
  type ProofContext,
  type Purpose,
} from './proof.ts'
import type { GateVerdict } from './types.ts'

interface ProofInit<C extends Partial<ProofContext> = ProofContext> {
  /** The secured channel. */
  channel: MessageStream
  keys: readonly Uint8Array[]
  context: C
  /** Ends the exchange. */
  signal: AbortSignal
}

/** The nonces of both sides, as their channel's context needs them. */
export type Nonces = Pick<ChannelContext, 'diallerNonce' | 'listenerNonce'>

/** Of a proof on a channel that gives keying material: that is new with each channel, by the random bytes of both sides. */
const NO_NONCES: Nonces = { diallerNonce: new Uint8Array(0), listenerNonce: new Uint8Array(0) }

const LEFT_EARLY =
  'it closed the connection at the membership proof, so it belongs to another network or is no Warren node'

/** Says what this side wants and hears the listener's nonce. Fails with `network_key_mismatch` or `protocol_unsupported`. */
export async function greetAsDialler(channel: MessageStream, purpose: Purpose, signal: AbortSignal): Promise<Nonces> {
  const diallerNonce = randomBytes(NONCE_BYTES)
  send(channel, encodeHello({ purpose, nonce: diallerNonce }))
  return { diallerNonce, listenerNonce: await hearListener(channel, signal) }
}

/** Gives a nonce and hears what the dialler wants; nothing else is sent before. Fails as `greetAsDialler`. */
export async function greetAsListener(
  channel: MessageStream,
  signal: AbortSignal,
): Promise<{ purpose: Purpose; nonces: Nonces }> {
  const listenerNonce = randomBytes(NONCE_BYTES)
  send(channel, encodeHello({ purpose: 'proof', nonce: listenerNonce }))
  const body = await receive(channel, signal)
  const hello = decodeHello(body)
  if (hello === undefined) throw otherVersion(body)
  return { purpose: hello.purpose, nonces: { diallerNonce: hello.nonce, listenerNonce } }
}

/** What a proof on this channel says of nonces, where these were exchanged on it. */
export function noncesOf(binding: Uint8Array, exchanged: Nonces): Nonces {
  return binding.length > 0 ? NO_NONCES : exchanged
}

/**
 * Says that this side wants to prove the network key, proves it to the side that was dialled and checks its proof. Where
 * the channel gives keying material all is said at once, a round trip less. Fails with `network_key_mismatch`,
 * `protocol_unsupported` or `peer_refused`. Whoever calls it closes the channel on failure.
 */
export async function proveAsDialler({
  channel,
  keys,
  context: { binding, ...known },
  signal,
}: ProofInit<Omit<ProofContext, keyof Nonces>>): Promise<void> {
  const isBound = binding.length > 0
  const nonces = isBound ? NO_NONCES : await greetAsDialler(channel, 'proof', signal)
  const context = { ...known, binding, ...nonces }
  if (isBound) send(channel, encodeHello({ purpose: 'proof', nonce: randomBytes(NONCE_BYTES) }))
  send(channel, encodeDiallerProof(keys, context))
  if (isBound) await hearListener(channel, signal)
  const verdict = checkListenerAnswer(await receive(channel, signal), keys, context)
  if (verdict === undefined) throw netErrors.network_key_mismatch('it does not prove the network key')
  if (verdict === 'refused') throw netErrors.peer_refused('it does not admit this node')
}

/**
 * Checks the dialler's proof, asks `admit` about it, and only then proves the network key itself. Fails with
 * `network_key_mismatch`, or `peer_not_allowed` with the reason that `admit` gave.
 */
export async function proveAsListener(init: ProofInit & { admit: () => GateVerdict }): Promise<void> {
  const { channel, keys, context, signal, admit } = init
  const key = checkDiallerProof(await receive(channel, signal), keys, context)
  if (key === undefined) throw netErrors.network_key_mismatch('it does not prove the network key')
  const verdict = admit()
  send(channel, encodeListenerAnswer(key, context, verdict.allowed ? 'admitted' : 'refused'))
  if (verdict.allowed) return
  await closedChannel(channel, AbortSignal.timeout(REFUSAL_LINGER_MS))
  throw netErrors.peer_not_allowed(verdict.reason)
}

/** Labels under which a TLS channel exports keying material: one a purpose, so that none sees what is another's. */
const EXPORTER_LABELS: Record<Purpose, string> = {
  proof: 'EXPORTER-warren-membership-proof',
  admission: 'EXPORTER-warren-admission',
  passage: 'EXPORTER-warren-passage',
}

/** Keying material of a TLS channel (RFC 9266 in spirit, own labels); empty for Noise, which exports none. */
export function channelBinding(protocol: string, channel: MessageStream, purpose: Purpose): Uint8Array {
  if (!protocol.startsWith('/tls/')) return new Uint8Array(0)
  const { socket } = channel as MessageStream & { socket?: unknown }
  if (!(socket instanceof TLSSocket)) throw new Error('the TLS channel does not show its socket')
  return socket.exportKeyingMaterial(32, EXPORTER_LABELS[purpose], Buffer.alloc(0))
}

/** The nonce of the side that was dialled. */
async function hearListener(channel: MessageStream, signal: AbortSignal): Promise<Uint8Array> {
  const body = await receive(channel, signal)
  const hello = decodeHello(body)
  if (hello?.purpose !== 'proof') throw otherVersion(body)
  return hello.nonce
}

function otherVersion(hello: Uint8Array): Error {
  return netErrors.protocol_unsupported(`it speaks version ${hello[0] ?? 'none'} of the membership proof`)
}

function send(channel: MessageStream, body: Uint8Array): void {
  if (!sendFrame(channel, body, PROOF_FRAME)) throw netErrors.network_key_mismatch(LEFT_EARLY)
}

async function receive(channel: MessageStream, signal: AbortSignal): Promise<Buffer> {
  const heard = await receiveFrame(channel, PROOF_FRAME, signal)
  if (heard === 'left') throw netErrors.network_key_mismatch(LEFT_EARLY)
  if (heard === 'late') throw netErrors.network_key_mismatch('its membership proof did not come')
  if (heard === 'too long') throw netErrors.protocol_unsupported('it does not speak the membership proof')
  return heard
}
