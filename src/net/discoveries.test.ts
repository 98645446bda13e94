import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { AddressBook } from './address-book.ts'
import { DISCOVERY_RATE, MAX_DISCOVERED_ADDRESSES } from './constants.ts'
import { Discoveries } from './discoveries.ts'
import { MAX_PARALLEL_DIALS } from './path/limits.ts'

const LAN = [{ address: '192.168.1.2', bits: 24, internal: false }]

function listening({ connected = false } = {}) {
  const [clock, book] = [new ManualClock(0), new AddressBook()]
  const wanted: string[] = []
  const discoveries = new Discoveries({
    book,
    subnets: () => LAN,
    isConnected: () => connected,
    want: (peer) => wanted.push(peer),
    clock,
  })
  return { clock, book, wanted, discoveries }
}

test('announcements have a peer dialled so often and no more, and leave what it said of itself alone', () => {
  const { clock, book, wanted, discoveries } = listening()
  const own = ['/ip4/203.0.113.7/tcp/9010', '/ip4/192.168.1.7/tcp/9010']
  book.add('peer', own, 'learned')
  for (let n = 0; n < 1_000; n++) discoveries.heard('peer', [`/ip4/192.168.1.${n % 250}/tcp/${n + 1}`])
  expect(wanted).toHaveLength(DISCOVERY_RATE.burst)
  expect(book.of('peer', 'learned')).toEqual(own)
  expect(book.of('peer', 'discovered')).toHaveLength(MAX_DISCOVERED_ADDRESSES)
  // Others are tried at the same time as the slowest of these.
  expect(MAX_DISCOVERED_ADDRESSES).toBeLessThan(MAX_PARALLEL_DIALS)
  discoveries.heard('another', ['/ip4/192.168.1.9/tcp/9010'])
  expect(wanted.at(-1)).toBe('another')
  clock.advance(1_000 / DISCOVERY_RATE.perSecond)
  discoveries.heard('peer', ['/ip4/192.168.1.9/tcp/9010'])
  expect(wanted.at(-1)).toBe('peer')
})

test('an announcement leads to the own network alone', () => {
  const { book, wanted, discoveries } = listening()
  discoveries.heard('peer', [
    '/ip4/203.0.113.7/tcp/22',
    '/dns4/internal.example.net/tcp/22',
    '/ip4/10.0.0.1/tcp/22',
    'x',
  ])
  expect([wanted, book.of('peer', 'discovered')]).toEqual([[], []])
  discoveries.heard('peer', ['/ip4/203.0.113.7/tcp/22', '/ip4/192.168.1.9/tcp/9010/p2p/peer'])
  expect([wanted, book.of('peer', 'discovered')]).toEqual([['peer'], ['/ip4/192.168.1.9/tcp/9010/p2p/peer']])
})

test('a peer that is connected is not looked for', () => {
  const { book, wanted, discoveries } = listening({ connected: true })
  discoveries.heard('peer', ['/ip4/192.168.1.9/tcp/9010'])
  expect([wanted, book.of('peer', 'discovered')]).toEqual([[], []])
})
