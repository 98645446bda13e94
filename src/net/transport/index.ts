/**
 * How the bytes of a connection travel. Everything runs over one TCP port, told apart by its first byte: TLS 1.3 directly
 * on the socket, Noise for those who cannot do that, and a WebSocket for those whose network lets nothing else through.
 * A relayed stream, a punched socket or a data channel becomes a connection in the same way, by the `ChannelUpgrader`:
 * TLS, the membership proof bound to it, the gate, then the muxer. So there is no way around the network key.
 *
 * Used by `host.ts` alone, which gives the other rooms of `net` the `ChannelUpgrader`. It never decides who may connect,
 * and never chooses among addresses.
 *
 * ```ts
 * const connection = await upgrader.upgrade(channel, { direction: 'outbound', address, peer, kind: 'relayed', signal })
 * upgrader.describe(connection)   // { kind: 'relayed', keyExchange: 'X25519MLKEM768' }
 * ```
 */
export { nodeContext } from './certificate.ts'
export type { ConnectionFacts } from './channel-upgrader.ts'
export type { Doors } from './listener.ts'
export { frugalYamux } from './muxer.ts'
export type { OuterCertificate } from './outer-certificate.ts'
export { talkOver } from './talk-over.ts'
export { type DialOptions, PortTransport, type TransportInit, type Way } from './transport.ts'
