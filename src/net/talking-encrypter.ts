import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions, SecuredConnection } from '@libp2p/interface'
import { serviceCapabilities } from '@libp2p/interface'
import { toWarrenError } from '../base/errors.ts'
import { carryCode } from './dial-errors.ts'
import { netErrors } from './errors.ts'
import type { Direction } from './types.ts'

/** A secured channel on which nothing has been said, and what is known about it. */
export interface SecuredChannel {
  readonly channel: MessageStream
  /** Authenticated id of the other side. */
  readonly peer: string
  /** Multiaddr of the other side. */
  readonly address: string
  readonly direction: Direction
  /** Protocol id of the encrypter. */
  readonly protocol: string
  /** The host's own limit of time. */
  readonly signal: AbortSignal | undefined
}

export interface TalkOptions {
  /** Hears of every connection that was secured, before the talk. */
  onSecured?: (connection: MessageStream) => void
}

/**
 * An encrypter on whose channels `talk` is held before anything else sees them, so that it runs on every transport
 * that uses encrypters. Where it rejects, the channel is closed, and a dial fails with its code.
 */
export function talkingEncrypter<C>(
  inner: (components: C) => ConnectionEncrypter,
  talk: (secured: SecuredChannel) => Promise<void>,
  { onSecured }: TalkOptions = {},
): (components: C) => ConnectionEncrypter {
  return (components) => {
    const encrypter = inner(components)
    const { protocol } = encrypter
    const secure = async (
      direction: Direction,
      connection: MessageStream,
      options?: SecureConnectionOptions,
    ): Promise<SecuredConnection> => {
      const secured = await (direction === 'inbound'
        ? encrypter.secureInbound(connection, options)
        : encrypter.secureOutbound(connection, options)
      ).catch(rethrow)
      onSecured?.(connection)
      const { connection: channel, remotePeer } = secured
      const [peer, address, signal] = [remotePeer.toString(), addressOf(connection), options?.signal]
      try {
        await talk({ channel, peer, address, direction, protocol, signal })
      } catch (thrown) {
        const error = toWarrenError(thrown)
        channel.abort(error)
        throw carryCode(error)
      }
      return secured
    }
    return {
      protocol,
      secureInbound: (connection, options) => secure('inbound', connection, options),
      secureOutbound: (connection, options) => secure('outbound', connection, options),
      [Symbol.toStringTag]: 'talking-encrypter',
      [serviceCapabilities]: ['@libp2p/connection-encryption'],
    } as ConnectionEncrypter
  }
}

function rethrow(error: unknown): never {
  if (error instanceof Error && error.name === 'UnexpectedPeerError') {
    throw carryCode(netErrors.peer_id_mismatch('another node answers there'))
  }
  throw error
}

function addressOf(connection: MessageStream): string {
  const { remoteAddr } = connection as MessageStream & { remoteAddr?: { toString(): string } }
  return remoteAddr?.toString() ?? 'unknown'
}
