import fc from 'fast-check'
import { expect, test } from 'vitest'
import { scopeOf } from '../../base/ip-scope.ts'
import { dialable, multiaddrOf, tcpAddressOf } from './addresses.ts'

const at = (...hosts: string[]) => hosts.map((host) => ({ host, port: 5 }))
const HOME = ['192.168.1.4', '2001:db8::4']

test('only public addresses, and private ones of the same kind of network, are dialled', () => {
  const offered = at('198.51.100.7', '192.168.9.9', '10.0.0.1', '172.16.0.1', '2001:db8::9', 'fd00::1')
  expect(dialable(offered, HOME, 16)).toEqual(at('198.51.100.7', '192.168.9.9', '2001:db8::9'))
  expect(dialable(offered, ['10.9.9.9'], 16)).toEqual(at('198.51.100.7', '10.0.0.1', '2001:db8::9'))
})

test('loopback is dialled only by a node that is on loopback alone', () => {
  expect(dialable(at('127.0.0.1', '::1'), HOME, 16)).toEqual([])
  expect(dialable(at('127.0.0.1', '::1'), ['127.0.0.1', ...HOME], 16)).toEqual([])
  expect(dialable(at('127.0.0.1'), ['127.0.0.1'], 16)).toEqual(at('127.0.0.1'))
})

test('whatever a peer names, nothing but unicast addresses that may be reached is dialled', () => {
  const tricky = [
    '0.0.0.0',
    '::',
    '169.254.1.1',
    'fe80::1',
    '224.0.0.1',
    'ff02::1',
    '255.255.255.255',
    '::ffff:127.0.0.1',
  ]
  expect(dialable(at(...tricky), HOME, 16)).toEqual([])
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom(...tricky))
  fc.assert(
    fc.property(fc.array(fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) })), (offered) => {
      const kept = dialable(offered, HOME, 4)
      expect(kept.length).toBeLessThanOrEqual(4)
      for (const each of kept) expect(['public', 'private']).toContain(scopeOf(each.host))
    }),
  )
})

test('an address told twice is dialled once', () => {
  expect(dialable(at('198.51.100.7', '::ffff:198.51.100.7'), HOME, 16)).toEqual(at('198.51.100.7'))
})

test('multiaddrs of TCP are read, and addresses are shown as such', () => {
  expect(tcpAddressOf('/ip4/192.0.2.1/tcp/9010')).toEqual({ host: '192.0.2.1', port: 9010 })
  expect(tcpAddressOf('/ip6/2001:db8::1/tcp/9010/p2p/x')).toEqual({ host: '2001:db8::1', port: 9010 })
  for (const other of ['/ip4/192.0.2.1/udp/1', '/dns4/example.com/tcp/1', '', 'x'])
    expect(tcpAddressOf(other)).toBeUndefined()
  expect(multiaddrOf({ host: '::ffff:192.0.2.1', port: 7 }, 'tcp')).toBe('/ip4/192.0.2.1/tcp/7')
  expect(multiaddrOf({ host: '2001:db8::1', port: 7 }, 'udp')).toBe('/ip6/2001:db8::1/udp/7')
})
