import type { Duplex } from 'node:stream'
import type { Connection } from '@libp2p/interface'
import type { Direction, Network, Stream } from './types.ts'

/** How a connection came about. */
export type ConnectionKind = 'tcp' | 'punched' | 'websocket' | 'datachannel' | 'relayed'

/** What is known of a channel that is to become a connection. */
export interface UpgradeOptions {
  /** `outbound` is the client of TLS and the dialler of the proof, whoever opened the channel. */
  readonly direction: Direction
  /** Multiaddr of the other side, as people are shown it; a relayed one contains `/p2p-circuit`. */
  readonly address: string
  /** The id that must answer; left out only where any member may. */
  readonly peer?: string | undefined
  readonly kind: ConnectionKind
  /** Bounds the whole upgrade. */
  readonly signal: AbortSignal
}

/**
 * Makes connections out of two-way byte channels: a socket, a relayed stream, a data channel. Secures the channel, proves
 * the network key over it, asks the gate, and puts the muxer on it; on failure the channel is destroyed.
 */
export interface ChannelUpgrader {
  upgrade(channel: Duplex, options: UpgradeOptions): Promise<Connection>
}

/** Streams over connections that are there: nothing is dialled. */
export interface StreamOpener {
  /**
   * With `direct` never over a relay; with `over` on this connection, also where it has not answered anything yet. Fails
   * with `peer_unreachable` where there is no such connection.
   */
  openOn(
    peer: string,
    protocol: string,
    options?: { direct?: boolean; over?: Connection; signal?: AbortSignal },
  ): Promise<Stream>
}

/**
 * Hears a stranger over a channel that a relay has brought: TLS with this very peer, then the talk about admission, and
 * the end. Nothing else can be asked on it. Rejects where it does not come about; the channel is closed in any case.
 */
export type HearStranger = (
  channel: Duplex,
  options: { peer: string; address: string; signal: AbortSignal },
) => Promise<void>

/** Serves a protocol until the returned function is called. */
export type Handle = Network['handle']
