import type { Stream } from '@libp2p/interface'
import { mapLimited, withTimeout } from '../../base/wait.ts'
import type { ContactBook } from './contact-book.ts'
import type { StreamGuard } from './guarded-streams.ts'
import type { Library } from './library.ts'
import {
  CONNECT_WAIT_MS,
  DHT_PROTOCOL,
  LOOKUP_CONCURRENCY,
  MAX_OUTBOUND_STREAMS,
  REPLICAS,
  UNREACHABLE_MS,
} from './limits.ts'
import type { DhtInit } from './types.ts'

interface ContactsInit extends Pick<DhtInit, 'connected' | 'isConnected' | 'isMember' | 'connect' | 'clock'> {
  readonly book: ContactBook
  readonly guard: StreamGuard
}

/**
 * Who is in the table: every member that is connected and speaks the protocol, and nobody else. The network has proved
 * that they live before it says that they are connected, so there is nothing to ping; and what a busy moment has kept
 * out comes in with the next check.
 */
export class Contacts {
  readonly #init: ContactsInit
  /** Peers that do not speak the protocol; asked again when they connect anew. */
  readonly #mute = new Set<string>()
  /** When it makes sense to try a peer again that nobody reached. */
  readonly #unreachable = new Map<string, number>()

  constructor(init: ContactsInit) {
    this.#init = init
  }

  isContact(peer: string): boolean {
    return this.#init.isMember(peer) && !this.#mute.has(peer) && this.#init.isConnected(peer)
  }

  onConnected(peer: string): void {
    this.#mute.delete(peer)
    this.#unreachable.delete(peer)
  }

  onDisconnected(peer: string): void {
    this.#mute.delete(peer)
  }

  /** Makes the table what it should be; true where it has grown. */
  async align({ table, parsePeer }: Library): Promise<boolean> {
    const present = new Set<string>()
    for (const { peerId } of [...table.kb.toIterable()]) {
      const peer = peerId.toString()
      if (this.isContact(peer)) present.add(peer)
      else await table.remove(peerId)
    }
    const before = table.size
    for (const peer of this.#init.connected()) {
      if (!present.has(peer) && this.isContact(peer)) await table.add(parsePeer(peer))
    }
    return table.size > before
  }

  /** Connects with members that others have named, until there are enough. False where some were not reached now. */
  async fill(named: readonly string[], signal: AbortSignal): Promise<boolean> {
    const { isMember, isConnected, connected } = this.#init
    const strangers = named.filter((peer) => isMember(peer) && !isConnected(peer))
    const room = Math.max(0, REPLICAS - connected().length)
    const wanted = strangers.filter((peer) => !this.#isGivenUp(peer)).slice(0, room)
    await mapLimited(wanted, LOOKUP_CONCURRENCY, async (peer) => {
      signal.throwIfAborted()
      await this.#connect(peer, signal).catch(() => undefined)
    })
    return connected().length >= REPLICAS || strangers.every((peer) => isConnected(peer))
  }

  /** A stream of the protocol to a member, connecting where needed. Fails soon where it cannot be reached. */
  async openStream(peer: string, signal: AbortSignal | undefined): Promise<Stream> {
    const { isMember, isConnected, guard } = this.#init
    if (!isMember(peer)) throw new Error(`${peer} is no member`)
    if (!isConnected(peer) && this.#isGivenUp(peer)) throw new Error(`${peer} was not reached a moment ago`)
    const connection = await this.#connect(peer, signal)
    try {
      const options = { maxOutboundStreams: MAX_OUTBOUND_STREAMS, runOnLimitedConnection: true }
      const stream = await connection.newStream(DHT_PROTOCOL, { ...options, ...(signal && { signal }) })
      return guard.limit(stream)
    } catch (error) {
      if (error instanceof Error && error.name === 'UnsupportedProtocolError') this.#mute.add(peer)
      throw error
    }
  }

  sweep(): void {
    const now = this.#init.clock.monotonicMs()
    for (const [peer, until] of this.#unreachable) if (until <= now) this.#unreachable.delete(peer)
  }

  #isGivenUp(peer: string): boolean {
    return (this.#unreachable.get(peer) ?? 0) > this.#init.clock.monotonicMs()
  }

  async #connect(peer: string, signal: AbortSignal | undefined) {
    const { connect, book, clock } = this.#init
    try {
      // The connecting goes on when the lookup no longer waits for it, and the next one finds it done.
      return await withTimeout(
        `connecting with ${peer}`,
        CONNECT_WAIT_MS,
        () => connect(peer, { addresses: book.of(peer) }),
        {
          signal,
          clock,
        },
      )
    } catch (error) {
      if (!signal?.aborted) this.#unreachable.set(peer, clock.monotonicMs() + UNREACHABLE_MS)
      throw error
    }
  }
}
