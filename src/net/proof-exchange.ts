import { randomBytes } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import type { MessageStream } from '@libp2p/interface'
import { PROOF_MAX_BYTES, REFUSAL_LINGER_MS } from './constants.ts'
import { netErrors } from './errors.ts'
import {
  checkDiallerProof,
  checkListenerAnswer,
  decodeHello,
  encodeDiallerProof,
  encodeHello,
  encodeListenerAnswer,
  NONCE_BYTES,
  type ProofContext,
} from './proof.ts'
import type { GateVerdict } from './types.ts'

interface ExchangeInit {
  /** The secured channel, not yet read from. */
  channel: MessageStream
  keys: readonly Uint8Array[]
  /** What both sides know, but for the nonces. */
  context: Omit<ProofContext, 'diallerNonce' | 'listenerNonce'>
  /** Ends the exchange. */
  signal: AbortSignal
}

const LEFT_EARLY =
  'it closed the connection at the membership proof, so it belongs to another network or is no Warren node'

/**
 * Proves the network key to the side that was dialled and checks its proof. Fails with `network_key_mismatch`,
 * `protocol_unsupported` or `peer_refused`. Whoever calls it closes the channel on failure.
 */
export async function proveAsDialler({ channel, keys, context, signal }: ExchangeInit): Promise<void> {
  const diallerNonce = randomBytes(NONCE_BYTES)
  send(channel, encodeHello(diallerNonce))
  const listenerNonce = nonceOf(await receive(channel, signal))
  const full = { ...context, diallerNonce, listenerNonce }
  send(channel, encodeDiallerProof(keys, full))
  const admission = checkListenerAnswer(await receive(channel, signal), keys, full)
  if (admission === undefined) throw netErrors.network_key_mismatch('it does not prove the network key')
  if (admission === 'refused') throw netErrors.peer_refused('it does not admit this node')
}

/**
 * Checks the dialler's proof, asks `admit` about it, and only then proves the network key itself. Nothing but a nonce
 * is sent before. Fails with `network_key_mismatch`, or `peer_not_allowed` with the reason that `admit` gave.
 */
export async function proveAsListener(init: ExchangeInit & { admit: () => GateVerdict }): Promise<void> {
  const { channel, keys, context, signal, admit } = init
  const listenerNonce = randomBytes(NONCE_BYTES)
  send(channel, encodeHello(listenerNonce))
  const diallerNonce = nonceOf(await receive(channel, signal))
  const full = { ...context, diallerNonce, listenerNonce }
  const key = checkDiallerProof(await receive(channel, signal), keys, full)
  if (key === undefined) throw netErrors.network_key_mismatch('it does not prove the network key')
  const verdict = admit()
  send(channel, encodeListenerAnswer(key, full, verdict.allowed ? 'admitted' : 'refused'))
  if (verdict.allowed) return
  await closed(channel, REFUSAL_LINGER_MS)
  throw netErrors.peer_not_allowed(verdict.reason)
}

/** Keying material of a TLS channel (RFC 9266 in spirit, own label); empty for Noise, which exports none. */
export function channelBinding(protocol: string, channel: MessageStream): Uint8Array {
  if (!protocol.startsWith('/tls/')) return new Uint8Array(0)
  const { socket } = channel as MessageStream & { socket?: unknown }
  if (!(socket instanceof TLSSocket)) throw new Error('the TLS channel does not show its socket')
  return socket.exportKeyingMaterial(32, 'EXPORTER-warren-membership-proof', Buffer.alloc(0))
}

function nonceOf(hello: Uint8Array): Uint8Array {
  const nonce = decodeHello(hello)
  if (nonce !== undefined) return nonce
  throw netErrors.protocol_unsupported(`it speaks version ${hello[0] ?? 'none'} of the membership proof`)
}

function send(channel: MessageStream, body: Uint8Array): void {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(body.length)
  if (channel.status !== 'open') throw netErrors.network_key_mismatch(LEFT_EARLY)
  channel.send(Buffer.concat([length, body]))
}

/** One message; what follows it stays in the channel, also when both came in one piece. */
function receive(channel: MessageStream, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const finish = (settle: () => void): void => {
      channel.removeEventListener('message', onMessage)
      channel.removeEventListener('close', onClose)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onMessage = (event: { data: Uint8Array | { subarray(): Uint8Array } }): void => {
      received = Buffer.concat([received, event.data.subarray()])
      if (received.length < 2) return
      const length = received.readUInt16BE()
      if (length > PROOF_MAX_BYTES) {
        finish(() => reject(netErrors.protocol_unsupported('it does not speak the membership proof')))
        return
      }
      if (received.length < 2 + length) return
      finish(() => {
        const rest = received.subarray(2 + length)
        // A channel that closed in the same moment takes nothing back; the muxer then learns of the close.
        if (rest.length > 0 && channel.status === 'open') channel.unshift(rest)
        resolve(received.subarray(2, 2 + length))
      })
    }
    const onClose = (): void => finish(() => reject(netErrors.network_key_mismatch(LEFT_EARLY)))
    const onAbort = (): void =>
      finish(() => reject(netErrors.network_key_mismatch('its membership proof did not come')))
    channel.addEventListener('message', onMessage)
    channel.addEventListener('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else if (channel.status !== 'open') onClose()
  })
}

function closed(channel: MessageStream, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs)
    channel.addEventListener('close', () => {
      clearTimeout(timer)
      resolve()
    })
    if (channel.status !== 'open') {
      clearTimeout(timer)
      resolve()
    }
  })
}
