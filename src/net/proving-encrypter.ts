import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions, SecuredConnection } from '@libp2p/interface'
import { serviceCapabilities } from '@libp2p/interface'
import { toWarrenError, WarrenError } from '../base/errors.ts'
import { PROOF_TIMEOUT_MS } from './constants.ts'
import { carryCode } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import { channelBinding, proveAsDialler, proveAsListener } from './proof-exchange.ts'
import type { Direction, Gate, ProofSource } from './types.ts'

export interface ProvingInit {
  /** This node's peer id. */
  self: string
  gate: Gate
  proof: ProofSource
  /** Hears of every connection that is not let through. */
  onRefused: (refusal: { peer: string | null; address: string; reason: string; cause: 'gate' | 'proof' }) => void
}

/**
 * An encrypter that lets a connection through only when both sides have proved the network key over the secured
 * channel and the gate allows the peer. It runs before the muxer, so that a stranger finds no protocol to ask.
 */
export function provingEncrypter<C>(
  inner: (components: C) => ConnectionEncrypter,
  init: ProvingInit,
): (components: C) => ConnectionEncrypter {
  return (components) => {
    const encrypter = inner(components)
    const secure = async (
      direction: Direction,
      connection: MessageStream,
      options?: SecureConnectionOptions,
    ): Promise<SecuredConnection> => {
      const secured = await (direction === 'inbound'
        ? encrypter.secureInbound(connection, options)
        : encrypter.secureOutbound(connection, options)
      ).catch((error: unknown) => {
        if (error instanceof Error && error.name === 'UnexpectedPeerError') {
          throw carryCode(netErrors.peer_id_mismatch('another node answers there'))
        }
        throw error
      })
      await prove(secured, { direction, connection, protocol: encrypter.protocol, options, init })
      return secured
    }
    return {
      protocol: encrypter.protocol,
      secureInbound: (connection, options) => secure('inbound', connection, options),
      secureOutbound: (connection, options) => secure('outbound', connection, options),
      [Symbol.toStringTag]: 'proving-encrypter',
      [serviceCapabilities]: ['@libp2p/connection-encryption'],
    } as ConnectionEncrypter
  }
}

interface ProveOptions {
  direction: Direction
  connection: MessageStream
  protocol: string
  options: SecureConnectionOptions | undefined
  init: ProvingInit
}

async function prove(secured: SecuredConnection, { direction, connection, protocol, options, init }: ProveOptions) {
  const peer = secured.remotePeer.toString()
  const timeout = AbortSignal.timeout(PROOF_TIMEOUT_MS)
  try {
    const exchange = {
      channel: secured.connection,
      keys: init.proof.keys(),
      context: {
        networkId: init.proof.networkId(),
        dialler: direction === 'outbound' ? init.self : peer,
        listener: direction === 'outbound' ? peer : init.self,
        channel: protocol,
        binding: channelBinding(protocol, secured.connection),
      },
      signal: options?.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]),
    }
    if (direction === 'inbound') {
      await proveAsListener({ ...exchange, admit: () => init.gate.allow(peer, direction) })
    } else {
      const verdict = init.gate.allow(peer, direction)
      if (!verdict.allowed) throw netErrors.peer_not_allowed(verdict.reason)
      await proveAsDialler(exchange)
    }
  } catch (thrown) {
    const error = thrown instanceof WarrenError ? thrown : toWarrenError(thrown)
    secured.connection.abort(error)
    const cause = error.code === 'peer_not_allowed' || error.code === 'peer_refused' ? 'gate' : 'proof'
    init.onRefused({ peer, address: addressOf(connection), reason: error.message, cause })
    throw carryCode(error)
  }
}

function addressOf(connection: MessageStream): string {
  const { remoteAddr } = connection as MessageStream & { remoteAddr?: { toString(): string } }
  return remoteAddr?.toString() ?? 'unknown'
}
