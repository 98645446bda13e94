import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatTarget, isServiceName, parseTarget } from './service-name.ts'

test('a name is a label of DNS with a letter, so that a number is always a port', () => {
  for (const name of ['postgres', 'db-2', 'x', '5ghz', 'a'.repeat(63)]) expect(isServiceName(name)).toBe(true)
  for (const name of ['', '5432', 'Postgres', '-db', 'db-', 'a.b', 'a/b', 'a'.repeat(64), 'ünï', 'a\n']) {
    expect(isServiceName(name), name).toBe(false)
  }
})

test('a target is a port, or a host and a port', () => {
  expect(parseTarget('5432')).toEqual({ host: '127.0.0.1', port: 5432 })
  expect(parseTarget('db.lan:80')).toEqual({ host: 'db.lan', port: 80 })
  expect(parseTarget('[fe80::1%eth0]:22')).toEqual({ host: 'fe80::1%eth0', port: 22 })
  for (const text of ['', '0', '65536', 'db', 'db:', ':80', '::1:80', 'a b:80', '-1', 'http://x:80']) {
    expect(() => parseTarget(text), text).toThrow(expect.objectContaining({ code: 'invalid_value' }))
  }
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
      expect(parseTarget(formatTarget({ host, port }))).toEqual({ host, port })
    }),
  )
})
