import type { Connection } from '@libp2p/interface'
import type { Signer } from '../../identity/index.ts'
import type { AddressBook } from '../address-book.ts'
import type { Handle, StreamOpener } from '../channel.ts'
import type { ConnectionTable } from '../connections.ts'
import type { NetworkInit } from '../types.ts'

/** What the paths of a network need of it. */
export interface PathsInit {
  readonly network: NetworkInit
  readonly self: string
  readonly signer: Signer
  readonly book: AddressBook
  readonly table: ConnectionTable
  readonly handle: Handle
  /** Streams over connections that are there. */
  readonly opener: StreamOpener
  /** Multiaddrs at which this node listens or says that it can be reached. */
  addresses(): string[]
  /** Whether the gate lets this node dial a peer. */
  mayDial(peer: string): boolean
  /** Whether the gate lets a peer dial this node. */
  mayAnswer(peer: string): boolean
  /** Whether a stranger may ask this node for admission now. */
  mayAsk(peer: string): boolean
  /** Hears what a peer says that it is. */
  onAgent(peer: string, agent: string): void
  /** Stays connected with a peer from now on. */
  want(peer: string, delayMs: number): void
  /** Tries a peer after a while where it is not connected, its delays starting over. */
  retry(peer: string, delayMs: number): void
  /** Tries everybody at once who is not connected. */
  retryAll(): void
  /** A new connection to one address; `mayReach` says to which IP addresses its name may lead. */
  dial(
    address: string,
    options: { peer: string; signal: AbortSignal; mayReach: ((host: string) => boolean) | undefined },
  ): Promise<Connection>
  /** Addresses of a peer as others know them, as hearsay. */
  lookUp(peer: string, options: { signal: AbortSignal }): Promise<string[]>
}
