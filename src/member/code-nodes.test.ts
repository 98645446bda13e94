import { expect, test } from 'vitest'
import { bestAddresses, codeNodes } from './code-nodes.ts'

test('public addresses come before those of a LAN, ids are taken off, and at most four are given', () => {
  const addresses = [
    '/ip4/127.0.0.1/tcp/9010/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
    '/ip4/169.254.3.4/tcp/9010',
    '/ip4/192.168.1.7/tcp/9010',
    '/ip4/100.64.1.7/tcp/9010',
    '/ip6/fd00::7/tcp/9010',
    '/ip6/2001:db8::7/tcp/9010',
    '/dns4/vps.example.org/tcp/9010',
    '/ip4/203.0.113.9/tcp/9010/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
  ]
  expect(bestAddresses(addresses)).toEqual([
    '/ip6/2001:db8::7/tcp/9010',
    '/dns4/vps.example.org/tcp/9010',
    '/ip4/203.0.113.9/tcp/9010',
    '/ip4/192.168.1.7/tcp/9010',
  ])
})

test('loopback is given only where there is nothing else', () => {
  expect(bestAddresses(['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1'])).toEqual(['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1'])
  expect(bestAddresses(['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1'])).toEqual(['/ip4/10.0.0.1/tcp/1'])
})

type Options = Parameters<typeof codeNodes>[0]
const [SELF, OTHER, RELAY, SECOND, THIRD] = ['self', 'other', 'relay', 'second', 'third'] as const

interface Known {
  readonly admins?: readonly string[]
  readonly own?: readonly string[]
  readonly addresses?: Readonly<Record<string, readonly string[]>>
  readonly reservations?: readonly string[]
  readonly relays?: readonly string[]
  readonly reachability?: string
  readonly connections?: readonly object[]
}

/** What a code of this node names, where it knows this. */
function nodesWith({
  admins = [SELF],
  own = [],
  addresses = {},
  reservations = [],
  reachability = 'private',
  relays = [],
  connections = [],
}: Known) {
  const network = {
    id: SELF,
    addresses: () => own,
    addressesOf: (id: string) => addresses[id] ?? [],
    connections: () => connections,
    reach: () => ({ reservations: reservations.map((relay) => ({ relay })), relays, reachability }),
  }
  const everyone = () => admins.map((id) => ({ id, state: id === SELF ? 'self' : 'up' }))
  const options = { roster: { state: { admins: new Set(admins) } }, network, directory: { everyone } }
  return codeNodes(options as unknown as Options)
}
const at = (host: number) => `/ip4/203.0.113.${host}/tcp/9010`

test('the relays that hold a way to this node are in its codes, two of them, with two addresses each', () => {
  const addresses = { [RELAY]: [at(1), at(2), at(3)], [SECOND]: [at(4)], [THIRD]: [at(5)] }
  const own = ['/ip4/192.168.1.7/tcp/9010']
  expect(nodesWith({ own, addresses, reservations: [RELAY, SECOND, THIRD] })).toEqual({
    admins: [{ id: SELF, addresses: own }],
    relays: [
      { id: RELAY, addresses: [at(1), at(2)] },
      { id: SECOND, addresses: [at(4)] },
    ],
  })
  expect(nodesWith({ own, addresses: {}, reservations: [RELAY] }).relays).toEqual([])
})

test('a node that needs no relay names those of the network only where there are other admins to be reached', () => {
  const known = { own: [at(9)], addresses: { [RELAY]: [at(1)] }, relays: [RELAY], reachability: 'public' }
  expect(nodesWith(known).relays).toEqual([])
  expect(nodesWith({ ...known, reachability: 'private' }).relays.map(({ id }) => id)).toEqual([RELAY])
  const { admins, relays } = nodesWith({ ...known, admins: [SELF, OTHER] })
  expect(relays.map(({ id }) => id)).toEqual([RELAY])
  expect(admins).toEqual([
    { id: SELF, addresses: [at(9)] },
    { id: OTHER, addresses: [] },
  ])
  expect(nodesWith({ own: [at(9)], admins: [SELF, OTHER] }).admins.map(({ id }) => id)).toEqual([SELF])
})

test('the far end of a connection that came in, was punched or is relayed is no address of a relay', () => {
  const dialled = { peer: RELAY, address: at(1), direction: 'outbound', relayed: false, kind: 'tcp' }
  const known = { own: [at(9)], reservations: [RELAY], addresses: { [RELAY]: [at(7)] } }
  expect(nodesWith({ ...known, connections: [dialled] }).relays).toEqual([{ id: RELAY, addresses: [at(1)] }])
  for (const other of [{ direction: 'inbound' }, { relayed: true }, { kind: 'punched' }]) {
    const { relays } = nodesWith({ ...known, connections: [{ ...dialled, ...other }] })
    expect(relays).toEqual([{ id: RELAY, addresses: [at(7)] }])
  }
})
