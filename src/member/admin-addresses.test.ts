import { expect, test } from 'vitest'
import { bestAddresses } from './admin-addresses.ts'

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
