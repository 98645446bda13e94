import type { Duplex } from 'node:stream'
import type { Logger } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { SecuredChannel } from '../talking-encrypter.ts'
import type { Direction } from '../types.ts'
import type { ContextSource } from './certificate.ts'
import { ChannelConnection } from './channel-connection.ts'
import { secureChannel } from './secure-channel.ts'
import { TLS_PROTOCOL } from './tls-protocol.ts'

interface TalkOverOptions {
  context: ContextSource
  direction: Direction
  /** The id that must answer. */
  peer: string
  /** Multiaddr of the other side, as people are shown it. */
  address: string
  signal: AbortSignal
  log: Logger
}

/**
 * Secures a channel from end to end as every connection, and holds one talk on it, which is all that ever comes over it.
 * Rejects as `secureChannel` and the talk do; the channel is closed in any case.
 */
export async function talkOver<T>(
  channel: Duplex,
  { context, direction, peer, address, signal, log }: TalkOverOptions,
  talk: (secured: SecuredChannel) => Promise<T>,
): Promise<T> {
  const { socket } = await secureChannel(channel, { direction, peer, context, signal })
  const connection = new ChannelConnection({ socket, channel, direction, remoteAddr: multiaddr(address), log })
  try {
    return await talk({ channel: connection, peer, address, direction, protocol: TLS_PROTOCOL, signal })
  } finally {
    connection.abort(new Error('the talk is over'))
  }
}
