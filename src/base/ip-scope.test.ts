import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type IpScope, plainHost, scopeOf, sourceKeyOf } from './ip-scope.ts'

test('an address is told by how far it reaches', () => {
  const cases: [string, IpScope][] = [
    ['127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['100.128.0.1', 'public'],
    ['fd00::1', 'private'],
    ['2a01:4f8::1', 'public'],
    ['5.5.5.5', 'public'],
    ['0.0.0.0', 'other'],
    ['::', 'other'],
    ['224.0.0.1', 'other'],
    ['255.255.255.255', 'other'],
    ['ff02::1', 'other'],
    ['example.org', 'other'],
    ['', 'other'],
  ]
  for (const [host, scope] of cases) expect([host, scopeOf(host)]).toEqual([host, scope])
})

test('an IPv4 address has one form, however it is written', () => {
  expect(plainHost('::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(plainHost('::ffff:c000:201')).toBe('192.0.2.1')
  expect(plainHost('0:0:0:0:0:ffff:c000:201')).toBe('192.0.2.1')
})

test('addresses of one IPv6 network count together, and those of another do not', () => {
  expect(sourceKeyOf('2a01:4f8:0:1::1')).toBe(sourceKeyOf('2a01:4f8:0:1:ffff::2'))
  expect(sourceKeyOf('2a01:4f8:0:1::1')).not.toBe(sourceKeyOf('2a01:4f8:0:2::1'))
  expect(sourceKeyOf('2a01:4f8:0:1::1', 48)).toBe(sourceKeyOf('2a01:4f8:0:2::1', 48))
  expect(sourceKeyOf('::ffff:192.0.2.1')).toBe('192.0.2.1')
})

test('no text makes it throw', () => {
  const text = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6())
  fc.assert(fc.property(text, (host) => [scopeOf(host), plainHost(host), sourceKeyOf(host)].length === 3))
})
