import { createHash } from 'node:crypto'
import { Backoff } from '../../base/backoff.ts'
import type { TimerHandle } from '../../base/clock.ts'
import { mapLimited, withTimeout } from '../../base/wait.ts'
import { publicKeyOfPeer } from '../../identity/index.ts'
import type { SignalOptions } from '../types.ts'
import { ContactBook } from './contact-book.ts'
import { Contacts } from './contacts.ts'
import { dhtErrors } from './errors.ts'
import { StreamGuard } from './guarded-streams.ts'
import { Kept } from './kept.ts'
import type { Library } from './library.ts'
import {
  CHECK_MS,
  DHT_PROTOCOL,
  FEW_CONTACTS,
  FIRST_CONTACT_WAIT_MS,
  LOOKUP_CONCURRENCY,
  LOOKUP_TIMEOUT_MS,
  MAX_KEY_BYTES,
  MAX_RECORD_TTL_MS,
  MAX_SEED_RETRY_MS,
  RECORD_QUORUM,
  REPLICAS,
  SELF_LOOKUP_MS,
  SELF_LOOKUP_TIMEOUT_MS,
} from './limits.ts'
import { bestOf, countAnswers, membersNamedIn, providersIn, valuesIn } from './lookups.ts'
import { OwnEntries } from './own-entries.ts'
import { sealRecord } from './record.ts'
import type { BootstrapOutcome, Dht, DhtInit, DhtRecord, DhtStatus, FindOptions, PutOptions } from './types.ts'

/** The table over kad-dht, which is loaded by `start`. */
export class DistributedTable implements Dht {
  readonly #init: DhtInit
  readonly #self: string
  readonly #book: ContactBook
  readonly #guard: StreamGuard
  readonly #contacts: Contacts
  readonly #own: OwnEntries
  readonly #ending = new AbortController()
  readonly #offs: (() => void)[] = []
  #kept: Kept | undefined
  #library: Library | undefined
  #timer: TimerHandle | undefined
  #checking: Promise<void> | undefined
  #nextCheck: Promise<void> | undefined
  #lookedAround: { atMs: number; contacts: number; complete: boolean } | undefined
  readonly #seedBackoff = new Backoff({ minMs: CHECK_MS, maxMs: MAX_SEED_RETRY_MS })
  #seedsAtMs = 0

  constructor(init: DhtInit) {
    const log = init.log.child({ part: 'dht' })
    // The hash of what is looked for has the form of an old peer id, and the library names it as a node.
    const isMember = (peer: string): boolean => publicKeyOfPeer(peer) !== undefined && init.isMember(peer)
    this.#init = { ...init, log, isMember }
    this.#self = init.host.peerId.toString()
    this.#guard = new StreamGuard(this.#init)
    this.#book = new ContactBook({
      self: this.#self,
      isMember,
      addressesOf: (peer) => init.addressesOf(peer),
      ownAddresses: () => init.host.getMultiaddrs(),
    })
    // The library also takes the node itself for one that it may ask.
    const isOther = (peer: string): boolean => peer !== this.#self && isMember(peer)
    this.#contacts = new Contacts({ ...this.#init, isMember: isOther, book: this.#book, guard: this.#guard })
    this.#own = new OwnEntries(init.clock)
  }

  async start(): Promise<void> {
    const { loadLibrary, unframeRecord } = await import('./library.ts')
    if (this.#ending.signal.aborted || this.#library !== undefined) return
    const { host, clock, log, events } = this.#init
    const isMember = (peer: string): boolean => peer === this.#self || this.#init.isMember(peer)
    this.#kept = new Kept({ prefix: '/dht', isMember, clock, unframe: unframeRecord })
    const library = loadLibrary({
      host,
      clock,
      log,
      isMember,
      kept: this.#kept,
      book: this.#book,
      guard: this.#guard,
      isContact: (peer) => this.#contacts.isContact(peer),
      openStream: (peer, signal) => this.#contacts.openStream(peer, signal),
    })
    await library.start()
    this.#library = library
    this.#offs.push(
      events.on('connected', ({ peer }) => {
        this.#contacts.onConnected(peer)
        void this.#check()
      }),
      events.on('disconnected', ({ peer }) => {
        this.#contacts.onDisconnected(peer)
        library.table.remove(library.parsePeer(peer)).catch((error: unknown) => {
          log.debug({ peer, error: String(error) }, 'a contact could not be dropped; the next check does it')
        })
      }),
    )
    this.#checkLater()
    await this.#check()
  }

  async stop(): Promise<void> {
    if (this.#ending.signal.aborted) return
    this.#ending.abort(dhtErrors.dht_not_running('the private table was stopped'))
    for (const off of this.#offs) off()
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    await this.#library?.stop()
    await this.#init.host.unhandle(DHT_PROTOCOL)
  }

  async bootstrap({ signal }: SignalOptions = {}): Promise<BootstrapOutcome> {
    this.#running()
    const tried = await this.#reachSeeds(signal)
    await this.#lookAround(signal)
    return { contacts: this.size(), tried }
  }

  async findPeer(peer: string, { signal }: SignalOptions = {}): Promise<string[]> {
    const { kad, parsePeer } = await this.#ready(signal)
    if (peer === this.#self) return this.#init.host.getMultiaddrs().map(String)
    if (!this.#init.isMember(peer)) return []
    const known = this.#book.of(peer)
    if (known.length > 0) return known
    await this.#lookup('looking for a node', { signal }, async (within) => {
      for await (const event of kad.findPeer(parsePeer(peer), { signal: within, useCache: false })) {
        if (event.name === 'FINAL_PEER') this.#book.hear(peer, event.peer.multiaddrs)
        if (this.#book.of(peer).length > 0) return
      }
    }).catch((error: Error) => {
      if (error.name !== 'NotFoundError') throw error
    })
    return this.#book.of(peer)
  }

  async provide(key: Uint8Array, { signal }: SignalOptions = {}): Promise<number> {
    const { kad } = await this.#ready(signal)
    const say = (within: AbortSignal): Promise<number> =>
      this.#lookup('telling who provides', { signal: within }, (inner) =>
        countAnswers(kad.provide(cidOf(key), { signal: inner }), 'ADD_PROVIDER'),
      )
    const told = await say(signal ?? this.#ending.signal)
    this.#own.add(`provider ${hashOf(key).toString('hex')}`, told === 0 ? 0 : this.size(), say)
    return told
  }

  async withdraw(key: Uint8Array): Promise<void> {
    this.#own.remove(`provider ${hashOf(key).toString('hex')}`)
    await this.#running().kad.cancelReprovide(cidOf(key))
  }

  async *findProviders(key: Uint8Array, options: FindOptions = {}): AsyncGenerator<string> {
    const { limit = REPLICAS, timeoutMs = LOOKUP_TIMEOUT_MS, signal } = options
    const { kad } = await this.#ready(signal)
    const over = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#ending.signal, ...(signal ? [signal] : [])])
    let found = 0
    // Where nobody is found, the own view may be too narrow yet: it is made wider once, and asked again.
    for (let round = 0; round < 2 && found === 0; round += 1) {
      if (round > 0) await this.#lookAround(over)
      try {
        for await (const peer of providersIn(kad.findProviders(cidOf(key), { signal: over }))) {
          if (peer !== this.#self && !this.#init.isMember(peer)) continue
          yield peer
          found += 1
          if (found >= limit) return
        }
      } catch (error) {
        signal?.throwIfAborted()
        this.#ending.signal.throwIfAborted()
        if (!over.aborted) throw error
      }
      if (over.aborted) return
    }
  }

  async put(key: string, value: Uint8Array, options: PutOptions = {}): Promise<number> {
    const { clock, signer } = this.#init
    const { sequence = clock.now(), ttlMs = MAX_RECORD_TTL_MS, signal } = options
    const { kad } = await this.#ready(signal)
    const say = (within: AbortSignal): Promise<number> => {
      const expiresMs = clock.now() + Math.min(ttlMs, MAX_RECORD_TTL_MS)
      const bytes = sealRecord({ key, value, sequence, expiresMs }, signer, clock.now())
      return this.#lookup('storing a record', { signal: within }, (inner) =>
        countAnswers(kad.put(Buffer.from(key), bytes, { signal: inner }), 'PUT_VALUE'),
      )
    }
    const told = await say(signal ?? this.#ending.signal)
    this.#own.add(`record ${key}`, told === 0 ? 0 : this.size(), say)
    return told
  }

  remove(key: string): void {
    this.#own.remove(`record ${key}`)
  }

  async get(key: string, { signal }: SignalOptions = {}): Promise<DhtRecord | undefined> {
    const { kad } = await this.#ready(signal)
    const nowMs = this.#init.clock.now()
    const rules = { isMember: (peer: string) => peer === this.#self || this.#init.isMember(peer), nowMs }
    const ask = (): Promise<Uint8Array[]> =>
      this.#lookup('looking for a record', { signal }, (within) =>
        valuesIn(kad.get(Buffer.from(key), { signal: within }), RECORD_QUORUM),
      )
    const own = this.#kept?.record(key)
    const found = bestOf(key, [...(own === undefined ? [] : [own]), ...(await ask())], rules)
    if (found !== undefined || this.size() === 0) return found
    // As with providers: the own view may be too narrow yet.
    await this.#lookAround(signal)
    return bestOf(key, await ask(), rules)
  }

  size(): number {
    return this.#library?.table.size ?? 0
  }

  status(): DhtStatus {
    const { providers, records, recordBytes } = this.#kept?.counts() ?? { providers: 0, records: 0, recordBytes: 0 }
    return { contacts: this.size(), providers, records, recordBytes, own: this.#own.size }
  }

  recheck(): void {
    this.#kept?.sweep()
    this.#book.sweep()
    void this.#check()
  }

  /** The library, with a table that has contacts where there are any to be had. */
  async #ready(signal: AbortSignal | undefined): Promise<Library> {
    const library = this.#running()
    signal?.throwIfAborted()
    if (this.size() > 0) return library
    await this.#check()
    if (this.size() > 0 || this.#init.seeds().length === 0) return library
    const { promise, resolve } = Promise.withResolvers<void>()
    const off = this.#init.events.on('connected', () => void this.#check().then(resolve))
    const { clock } = this.#init
    await withTimeout('waiting for a first contact', FIRST_CONTACT_WAIT_MS, () => promise, { signal, clock })
      .catch(() => signal?.throwIfAborted())
      .finally(off)
    return library
  }

  #running(): Library {
    if (this.#library !== undefined && !this.#ending.signal.aborted) return this.#library
    throw dhtErrors.dht_not_running('the private table of this node is not running', {
      hint: 'Switch it on: warren config set net.dht true',
    })
  }

  #lookup<T>(what: string, { signal }: SignalOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const both = AbortSignal.any([this.#ending.signal, ...(signal ? [signal] : [])])
    return withTimeout(what, LOOKUP_TIMEOUT_MS, work, { signal: both, clock: this.#init.clock })
  }

  /** Makes the table agree with the connections: one check at a time, and one more for all that changes meanwhile. */
  #check(): Promise<void> {
    this.#nextCheck ??= (this.#checking ?? Promise.resolve()).then(() => {
      this.#checking = this.#nextCheck
      this.#nextCheck = undefined
      return this.#align()
    })
    return this.#nextCheck
  }

  async #align(): Promise<void> {
    if (this.#library === undefined || this.#ending.signal.aborted) return
    await this.#contacts.align(this.#library).catch((error: unknown) => {
      this.#init.log.debug({ error: String(error) }, 'the private table could not be compared with the connections')
    })
  }

  #checkLater(): void {
    if (this.#ending.signal.aborted) return
    this.#timer = this.#init.clock.setTimeout(() => {
      void this.#beat().finally(() => this.#checkLater())
    }, CHECK_MS)
    this.#timer.unref?.()
  }

  async #beat(): Promise<void> {
    this.#kept?.sweep()
    this.#book.sweep()
    this.#contacts.sweep()
    await this.#check()
    const now = this.#init.clock.monotonicMs()
    if (this.size() >= FEW_CONTACTS) this.#seedBackoff.reset()
    else if (now >= this.#seedsAtMs) {
      this.#seedsAtMs = now + this.#seedBackoff.next()
      await this.#reachSeeds(this.#ending.signal).catch(() => undefined)
    }
    const last = this.#lookedAround
    const isDue = last === undefined || !last.complete || now - last.atMs >= SELF_LOOKUP_MS
    if (isDue || this.size() > 1.5 * last.contacts) await this.#lookAround()
    await this.#own.renew(this.size(), this.#ending.signal).catch(() => undefined)
  }

  async #reachSeeds(signal: AbortSignal | undefined): Promise<BootstrapOutcome['tried']> {
    const { seeds, reach } = this.#init
    const tried = await mapLimited(seeds(), LOOKUP_CONCURRENCY, async (seed) => {
      try {
        await reach(seed, { signal })
        return { seed, error: null }
      } catch (error) {
        signal?.throwIfAborted()
        return { seed, error: error instanceof Error ? error.message : String(error) }
      }
    })
    await this.#check()
    return tried
  }

  /**
   * Connects with those who are closest to this node, so that what is looked for near it is found. The library asks only
   * who is closer than whom it heard of them from; where the first contact is closest already it would end with that one.
   */
  async #lookAround(signal?: AbortSignal): Promise<void> {
    if (this.#library === undefined || this.size() === 0) return
    const { clock, host } = this.#init
    const { kad } = this.#library
    const { bytes } = host.peerId.toMultihash()
    this.#lookedAround = { atMs: clock.monotonicMs(), contacts: this.size(), complete: false }
    const both = AbortSignal.any([this.#ending.signal, ...(signal ? [signal] : [])])
    const look = async (within: AbortSignal): Promise<void> => {
      const named = await membersNamedIn(kad.getClosestPeers(bytes, { signal: within }))
      const others = named.filter((peer) => peer !== this.#self)
      const complete = await this.#contacts.fill(others, within)
      this.#lookedAround = { atMs: clock.monotonicMs(), contacts: this.size(), complete }
    }
    await withTimeout('looking around', SELF_LOOKUP_TIMEOUT_MS, look, { signal: both, clock }).catch(() => undefined)
    await this.#check()
  }
}

function hashOf(key: Uint8Array): Buffer {
  if (key.length === 0 || key.length > MAX_KEY_BYTES) {
    throw dhtErrors.dht_record_invalid(`a key of ${key.length} bytes; it has 1 to ${MAX_KEY_BYTES}`)
  }
  return createHash('sha256').update(key).digest()
}

type Cid = Parameters<Library['kad']['provide']>[0]

/** All that kad-dht reads of a CID: the multihash, which begins with the code of SHA-256 and the length. */
function cidOf(key: Uint8Array): Cid {
  return { multihash: { bytes: new Uint8Array(Buffer.concat([Buffer.from([0x12, 32]), hashOf(key)])) } } as Cid
}
