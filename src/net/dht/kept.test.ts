import { Record as KadRecord } from '@libp2p/kad-dht'
import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { peerIdOf, type Signer, signerFromSeed } from '../../identity/index.ts'
import { Kept } from './kept.ts'
import { unframeRecord } from './library.ts'
import { MAX_PROVIDERS_PER_PEER, MAX_RECORDS_PER_AUTHOR, PROVIDER_TTL_MS } from './limits.ts'
import { sealRecord } from './record.ts'

const FULL = expect.objectContaining({ code: 'dht_full' })
const INVALID = expect.objectContaining({ code: 'dht_record_invalid' })

test('providers are kept until they expire or leave the network', async () => {
  const { store, kept, clock, members } = makeKept(['peer-a', 'peer-b'])
  await store.put(nameOf('/dht/provider/thing/peer-a'), Buffer.from([1]))
  clock.advance(PROVIDER_TTL_MS / 2)
  await store.put(nameOf('/dht/provider/thing/peer-b'), Buffer.from([2]))
  expect(await providersOf(store)).toEqual(['peer-a', 'peer-b'])
  clock.advance(PROVIDER_TTL_MS / 2)
  expect(await providersOf(store)).toEqual(['peer-b'])
  members.delete('peer-b')
  expect(await providersOf(store)).toEqual([])
  kept.sweep()
  expect(kept.counts().providers).toBe(0)
})

test('one member cannot fill the room for providers, and has it again when it withdraws', async () => {
  const { store } = makeKept(['greedy', 'modest'])
  for (let at = 0; at < MAX_PROVIDERS_PER_PEER; at += 1) put(store, `/dht/provider/k${at}/greedy`)
  expect(() => put(store, '/dht/provider/more/greedy')).toThrowError(FULL)
  put(store, '/dht/provider/k0/greedy')
  put(store, '/dht/provider/thing/modest')
  await store.delete(nameOf('/dht/provider/k1/greedy'))
  put(store, '/dht/provider/more/greedy')
  expect(() => put(store, '/dht/provider/thing/stranger')).toThrowError(INVALID)
})

test('an older record never replaces a newer one, and an invalid one is not kept', () => {
  const { store, kept, clock, signer } = makeKept()
  const value = (sequence: number) => recordOf(signer, '/warren/a', sequence, clock)
  putRecord(store, '/warren/a', value(2))
  putRecord(store, '/warren/a', value(1))
  expect(kept.record('/warren/a')).toEqual(new Uint8Array(value(2)))
  putRecord(store, '/warren/a', value(3))
  expect(kept.record('/warren/a')).toEqual(new Uint8Array(value(3)))
  expect(() => putRecord(store, '/warren/b', value(4))).toThrowError(INVALID)
  expect(kept.counts()).toMatchObject({ records: 1, recordBytes: value(3).length })
})

test('a record is gone when it expires and when its author leaves', () => {
  const { store, kept, clock, signer, members } = makeKept()
  putRecord(store, '/warren/a', recordOf(signer, '/warren/a', 1, clock))
  clock.advance(60_000)
  expect(kept.record('/warren/a')).toBeUndefined()
  expect(() => store.get(nameOf('/dht/record/x/warren/a'))).toThrowError(
    expect.objectContaining({ name: 'NotFoundError' }),
  )
  putRecord(store, '/warren/a', recordOf(signer, '/warren/a', 2, clock))
  members.clear()
  expect(kept.record('/warren/a')).toBeUndefined()
  kept.sweep()
  expect(kept.counts()).toEqual({ providers: 0, records: 0, recordBytes: 0 })
})

test('one author cannot fill the room for records, by number or by bytes', () => {
  const { store, clock, signer } = makeKept()
  for (let at = 0; at < MAX_RECORDS_PER_AUTHOR; at += 1) {
    putRecord(store, `/warren/${at}`, recordOf(signer, `/warren/${at}`, 1, clock))
  }
  expect(() => putRecord(store, '/warren/more', recordOf(signer, '/warren/more', 1, clock))).toThrowError(FULL)
  putRecord(store, '/warren/0', recordOf(signer, '/warren/0', 2, clock))

  const big = makeKept()
  const large = (key: string) => recordOf(big.signer, key, 1, big.clock, 8_500)
  const fits = Math.floor((1024 * 1024) / large('/warren/00').length)
  for (let at = 10; at < 10 + fits; at += 1) putRecord(big.store, `/warren/${at}`, large(`/warren/${at}`))
  expect(() => putRecord(big.store, '/warren/99', large('/warren/99'))).toThrowError(FULL)
})

type Store = ReturnType<Kept['asDatastore']>
type Name = Parameters<Store['get']>[0]

function makeKept(others: readonly string[] = []) {
  const clock = new ManualClock()
  const signer = signerFromSeed(Buffer.alloc(32, 3))
  const members = new Set([...others, peerIdOf(signer.publicKey)])
  const kept = new Kept({ prefix: '/dht', isMember: (peer) => members.has(peer), clock, unframe: unframeRecord })
  return { kept, store: kept.asDatastore(), clock, members, signer }
}

function nameOf(text: string): Name {
  return { toString: () => text } as Name
}

function put(store: Store, name: string): void {
  void store.put(nameOf(name), Buffer.from([1]))
}

function putRecord(store: Store, key: string, value: Uint8Array): void {
  const framed = new KadRecord(Buffer.from(key), value, new Date()).serialize()
  void store.put(nameOf(`/dht/record/x${key}`), framed)
}

function recordOf(signer: Signer, key: string, sequence: number, clock: ManualClock, bytes = 3): Buffer {
  const value = Buffer.alloc(bytes, sequence)
  return sealRecord({ key, value, sequence, expiresMs: clock.now() + 60_000 }, signer, clock.now())
}

async function providersOf(store: Store): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.query({ prefix: '/dht/provider/thing' })) {
    found.push(key.toString().split('/').at(-1) as string)
  }
  return found
}
