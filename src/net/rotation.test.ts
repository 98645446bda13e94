import { expect, test } from 'vitest'
import { addressOf, nextEvent, withNetworks } from './fixtures/networks.ts'
import type { GateVerdict } from './types.ts'

const OLD = Buffer.alloc(32, 1)
const NEW = Buffer.alloc(32, 2)
const OTHER = Buffer.alloc(32, 3)

/** A node whose keys can be changed while it runs. */
function holding(...first: Uint8Array[]) {
  let keys = first
  return {
    hold: (...next: Uint8Array[]): void => {
      keys = next
    },
    init: { proof: { networkId: () => 'test', keys: () => keys } },
  }
}

const HOLDINGS = {
  old: [OLD],
  new: [NEW],
  'new and old': [NEW, OLD],
  'old and new': [OLD, NEW],
  'old and another': [OLD, OTHER],
}
type Holding = keyof typeof HOLDINGS

test.each<[Holding, Holding]>([
  ['old', 'new and old'],
  ['new', 'new and old'],
  ['new and old', 'old and new'],
  ['new and old', 'old and another'],
])('amid a rotation nodes with the keys %s, and %s, connect whoever dials', async (one, other) => {
  for (const [dialler, listener] of [
    [one, other],
    [other, one],
  ] as const) {
    await withNetworks([holding(...HOLDINGS[dialler]).init, holding(...HOLDINGS[listener]).init], async (a, b) => {
      expect(await a.connect(addressOf(b))).toBe(b.id)
    })
  }
})

test.each<[Holding, Holding]>([
  ['old', 'new'],
  ['old and another', 'new'],
])('nodes with the keys %s, and %s, do not connect', async (one, other) => {
  await withNetworks([holding(...HOLDINGS[one]).init, holding(...HOLDINGS[other]).init], async (a, b) => {
    await expect(a.connect(addressOf(b))).rejects.toMatchObject({ code: 'network_key_mismatch' })
    await expect(b.connect(addressOf(a))).rejects.toMatchObject({ code: 'network_key_mismatch' })
  })
})

test('a connection outlives the key that it was made with, and the next one needs the new key', async () => {
  const [one, two] = [holding(OLD), holding(OLD)]
  await withNetworks([one.init, two.init], async (a, b) => {
    await b.connect(addressOf(a))
    one.hold(NEW, OLD)
    one.hold(NEW)
    expect(await b.ping(a.id)).toBeGreaterThan(0)
    const gone = nextEvent(b, 'disconnected')
    await a.disconnect(b.id)
    await gone
    const missed = nextEvent(b, 'refused')
    await expect(b.connect(addressOf(a))).rejects.toMatchObject({ code: 'network_key_mismatch' })
    expect(await missed).toMatchObject({ peer: a.id, cause: 'proof', direction: 'outbound' })
    two.hold(NEW)
    expect(await a.connect(addressOf(b))).toBe(b.id)
  })
})

test('of three nodes one is removed: its open connections end at recheck, and the old key opens none', async () => {
  const removed = new Set<string>()
  const gate = {
    allow: (peer: string): GateVerdict =>
      removed.has(peer) ? { allowed: false, reason: 'it was removed' } : { allowed: true },
  }
  const keys = [holding(OLD), holding(OLD), holding(OLD)] as const
  const [first, second, third] = keys
  await withNetworks([{ ...first.init, gate }, { ...second.init, gate }, third.init], async (a, b, bad) => {
    await bad.connect(addressOf(a))
    await bad.connect(addressOf(b))
    await a.connect(addressOf(b))
    await expect.poll(() => [a, b].map((network) => network.connections().length)).toEqual([2, 2])
    const cut = [a, b].map(({ id }) => nextEvent(bad, 'disconnected', (event) => event.peer === id))
    removed.add(bad.id)
    for (const { hold } of [first, second]) hold(NEW, OLD)
    for (const network of [a, b]) network.recheck()
    await Promise.all(cut)
    expect(await a.ping(b.id)).toBeGreaterThan(0)
    await expect(bad.connect(addressOf(a))).rejects.toMatchObject({ code: 'peer_refused' })
    for (const { hold } of [first, second]) hold(NEW)
    await expect(bad.connect(addressOf(a))).rejects.toMatchObject({ code: 'network_key_mismatch' })
    expect(bad.connections()).toEqual([])
    expect(await a.ping(b.id)).toBeGreaterThan(0)
  })
})
