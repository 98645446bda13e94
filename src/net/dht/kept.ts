import type { KadDHTComponents } from '@libp2p/kad-dht'
import type { Clock } from '../../base/clock.ts'
import { dhtErrors } from './errors.ts'
import {
  MAX_PROVIDERS_PER_PEER,
  MAX_RECORD_BYTES_PER_AUTHOR,
  MAX_RECORDS_PER_AUTHOR,
  MAX_STORED_PROVIDERS,
  MAX_STORED_RECORD_BYTES,
  PROVIDER_TTL_MS,
} from './limits.ts'
import { checkRecord, selectRecord } from './record.ts'

type Datastore = KadDHTComponents['datastore']
type Key = Parameters<Datastore['get']>[0]

interface Provider {
  readonly key: Key
  readonly value: Uint8Array
  readonly expiresMs: number
}

interface KeptRecord {
  readonly key: string
  /** With the library's own frame around it. */
  readonly framed: Uint8Array
  readonly value: Uint8Array
  readonly author: string
  readonly expiresMs: number
}

interface Share {
  records: number
  bytes: number
}

interface KeptInit {
  readonly prefix: string
  readonly isMember: (peer: string) => boolean
  readonly clock: Clock
  /** Key and value out of the library's frame. */
  readonly unframe: (framed: Uint8Array) => { key: Uint8Array; value: Uint8Array }
}

/**
 * What this node keeps for the network, in memory and bounded: the `Datastore` that kad-dht works on. It never gives what
 * has expired or is of who left, and never lets an older record take the place of a newer one.
 */
export class Kept {
  readonly #init: KeptInit
  /** By what is provided, then by who provides it. */
  readonly #providers = new Map<string, Map<string, Provider>>()
  readonly #providing = new Map<string, number>()
  readonly #records = new Map<string, KeptRecord>()
  /** A record's key as people know it → its name in the datastore. */
  readonly #names = new Map<string, string>()
  readonly #shares = new Map<string, Share>()
  #providerCount = 0
  #recordBytes = 0

  constructor(init: KeptInit) {
    this.#init = init
  }

  /** The part of a datastore that kad-dht uses. */
  asDatastore(): Datastore {
    const used: Pick<Datastore, 'get' | 'put' | 'delete' | 'query'> = {
      get: (key) => this.#get(key),
      put: (key, value) => {
        this.#put(key, value)
        return key
      },
      delete: (key) => this.#delete(key.toString()),
      query: ({ prefix = '' }) => this.#providersOf(prefix),
    }
    return used as Datastore
  }

  counts(): { providers: number; records: number; recordBytes: number } {
    return { providers: this.#providerCount, records: this.#records.size, recordBytes: this.#recordBytes }
  }

  /** The signed bytes under a record's key, where there are any that count. */
  record(key: string): Uint8Array | undefined {
    const kept = this.#records.get(this.#names.get(key) ?? '')
    return kept !== undefined && this.#isAlive(kept) ? kept.value : undefined
  }

  /** Drops what has expired and what is of who left. */
  sweep(): void {
    const { clock, isMember } = this.#init
    const now = clock.now()
    for (const [parent, entries] of this.#providers) {
      for (const [peer, { expiresMs }] of entries) {
        if (expiresMs <= now || !isMember(peer)) this.#dropProvider(parent, peer)
      }
    }
    for (const [name, kept] of this.#records) if (!this.#isAlive(kept)) this.#dropRecord(name)
  }

  #get(key: Key): Uint8Array {
    const kept = this.#records.get(key.toString())
    if (kept !== undefined && this.#isAlive(kept)) return kept.framed
    throw Object.assign(new Error('not kept here'), { name: 'NotFoundError' })
  }

  #put(key: Key, value: Uint8Array): void {
    const name = key.toString()
    if (name.startsWith(`${this.#init.prefix}/provider/`)) this.#putProvider(key, value)
    else this.#putRecord(name, value)
  }

  #putProvider(key: Key, value: Uint8Array): void {
    const { parent, last: peer } = split(key.toString())
    const { clock, isMember } = this.#init
    if (!isMember(peer)) throw dhtErrors.dht_record_invalid(`the provider ${peer} is no member`)
    const entries = this.#providers.get(parent) ?? new Map<string, Provider>()
    if (!entries.has(peer)) {
      if (this.#providerCount >= MAX_STORED_PROVIDERS) this.sweep()
      const own = this.#providing.get(peer) ?? 0
      if (own >= MAX_PROVIDERS_PER_PEER || this.#providerCount >= MAX_STORED_PROVIDERS) {
        throw dhtErrors.dht_full(`${own} keys of ${peer} are kept, ${this.#providerCount} in all`)
      }
      this.#providing.set(peer, own + 1)
      this.#providerCount += 1
    }
    entries.set(peer, { key, value, expiresMs: clock.now() + PROVIDER_TTL_MS })
    this.#providers.set(parent, entries)
  }

  #putRecord(name: string, framed: Uint8Array): void {
    const { clock, isMember, unframe } = this.#init
    const frame = unframe(framed)
    const key = Buffer.from(frame.key).toString()
    const value = new Uint8Array(frame.value)
    const { author, expiresMs } = checkRecord(key, value, { isMember, nowMs: clock.now() })
    const kept = this.#records.get(name)
    if (kept !== undefined && this.#isAlive(kept) && selectRecord([kept.value, value]) === 0) return
    if (this.#recordBytes + value.length > MAX_STORED_RECORD_BYTES) this.sweep()
    this.#checkRoom(author, value.length, kept)
    this.#dropRecord(name)
    this.#records.set(name, { key, framed, value, author, expiresMs })
    this.#names.set(key, name)
    this.#recordBytes += value.length
    const share = this.#shares.get(author) ?? { records: 0, bytes: 0 }
    this.#shares.set(author, { records: share.records + 1, bytes: share.bytes + value.length })
  }

  #checkRoom(author: string, bytes: number, replaced: KeptRecord | undefined): void {
    const freed = replaced?.value.length ?? 0
    const share = this.#shares.get(author) ?? { records: 0, bytes: 0 }
    const [records, used] =
      replaced?.author === author ? [share.records - 1, share.bytes - freed] : [share.records, share.bytes]
    const fits =
      records < MAX_RECORDS_PER_AUTHOR &&
      used + bytes <= MAX_RECORD_BYTES_PER_AUTHOR &&
      this.#recordBytes - freed + bytes <= MAX_STORED_RECORD_BYTES
    if (!fits) throw dhtErrors.dht_full(`${records} records of ${author} are kept, ${this.#recordBytes} bytes in all`)
  }

  async *#providersOf(prefix: string): AsyncGenerator<{ key: Key; value: Uint8Array }> {
    const { clock, isMember } = this.#init
    for (const [peer, { key, value, expiresMs }] of this.#providers.get(prefix) ?? []) {
      if (expiresMs > clock.now() && isMember(peer)) yield { key, value }
    }
  }

  #delete(name: string): void {
    const { parent, last } = split(name)
    this.#dropProvider(parent, last)
    this.#dropRecord(name)
  }

  #dropProvider(parent: string, peer: string): void {
    const entries = this.#providers.get(parent)
    if (entries?.delete(peer) !== true) return
    if (entries.size === 0) this.#providers.delete(parent)
    this.#providerCount -= 1
    const left = (this.#providing.get(peer) ?? 1) - 1
    if (left === 0) this.#providing.delete(peer)
    else this.#providing.set(peer, left)
  }

  #dropRecord(name: string): void {
    const kept = this.#records.get(name)
    if (kept === undefined) return
    this.#records.delete(name)
    this.#names.delete(kept.key)
    this.#recordBytes -= kept.value.length
    const { records, bytes } = this.#shares.get(kept.author) ?? { records: 1, bytes: kept.value.length }
    if (records === 1) this.#shares.delete(kept.author)
    else this.#shares.set(kept.author, { records: records - 1, bytes: bytes - kept.value.length })
  }

  #isAlive({ author, expiresMs }: KeptRecord): boolean {
    return expiresMs > this.#init.clock.now() && this.#init.isMember(author)
  }
}

function split(name: string): { parent: string; last: string } {
  const at = name.lastIndexOf('/')
  return { parent: name.slice(0, at), last: name.slice(at + 1) }
}
