import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { isUsable, NO_ADDRESS } from './usable-address.ts'

test.each([
  ['/ip4/192.0.2.7/tcp/9010', true],
  ['/ip4/10.1.2.3/tcp/9010', true],
  ['/ip6/2001:db8::1/tcp/9010', true],
  ['/ip4/192.0.2.7/tcp/9010/p2p/12D3KooWJPmGrkMor7EbbbnD8CjZxMPngorLEJkjewPAwuupNd1f/p2p-circuit', true],
  ['/ip4/127.0.0.1/tcp/22', false],
  ['/ip6/::1/tcp/22', false],
  ['/ip6/::ffff:127.0.0.1/tcp/22', false],
  ['/ip4/169.254.169.254/tcp/80', false],
  ['/ip6/fe80::1/tcp/80', false],
  ['/ip4/0.0.0.0/tcp/80', false],
  ['/ip4/224.0.0.1/tcp/80', false],
  ['/dns4/localhost/tcp/80', false],
  ['/dnsaddr/example.org', false],
])('the address %s of another is dialled: %s', (text, expected) => {
  expect(isUsable(multiaddr(text), false)).toBe(expected)
})

test('who can be reached on loopback dials loopback', () => {
  expect(isUsable(multiaddr('/ip4/127.0.0.1/tcp/9010'), true)).toBe(true)
  expect(isUsable(NO_ADDRESS, true)).toBe(false)
})
