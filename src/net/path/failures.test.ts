import { expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import type { ConnectionInfo } from '../types.ts'
import { FailureBook } from './failures.ts'
import { pathInfoOf } from './path-info.ts'

const RELAY = '12D3KooWK5hTF7PGjBXkCwD9iMP6XfNxN8hijHejBhiczFYWWD5E'
const NO_RESERVATION = 'that node holds no reservation here'

test('a relay is called by its name, and by the end of its id where it has none', () => {
  const named = new FailureBook(systemClock, (peer) => (peer === RELAY ? 'vps' : null))
  const unnamed = new FailureBook(systemClock)
  for (const book of [named, unnamed]) book.note('peer', { way: 'relay', what: RELAY, reason: NO_RESERVATION })
  expect(named.why('peer', ['relay'])).toBe(`relay vps: ${NO_RESERVATION}`)
  expect(unnamed.why('peer', ['relay'])).toBe(`relay zFYWWD5E: ${NO_RESERVATION}`)
})

test('where no hole could be made, private addresses of the other side go without saying', () => {
  const book = new FailureBook(systemClock)
  const why = (relayed: boolean) => {
    const connections = relayed ? [{ relayed, kind: 'relayed', via: RELAY, lan: false } as ConnectionInfo] : []
    return pathInfoOf('peer', { connections, failures: book, whyUntried: () => null }).why
  }
  const [near, far] = ['/ip4/192.168.1.7/tcp/9010', '/ip4/203.0.113.7/tcp/9010']
  for (const what of [near, far]) book.note('peer', { way: 'direct', what, reason: 'no answer' })
  expect(why(true)).toBe('192.168.1.7:9010, 203.0.113.7:9010: no answer')
  book.note('peer', { way: 'punch', what: '', reason: 'both NATs map per destination (APDM)' })
  expect(why(true)).toBe('punch: both NATs map per destination (APDM); 203.0.113.7:9010: no answer')
  // Without any path they may be what matters.
  expect(why(false)).toContain('192.168.1.7:9010')
})

test('addresses that fail alike share a reason, and three of them are named', () => {
  const book = new FailureBook(systemClock)
  for (let host = 1; host <= 5; host++) {
    book.note('peer', { way: 'direct', what: `/ip4/192.0.2.${host}/tcp/9010`, reason: 'the port is closed' })
  }
  expect(book.why('peer', ['direct'])).toBe(
    '192.0.2.1:9010, 192.0.2.2:9010, 192.0.2.3:9010 and 2 more: the port is closed',
  )
  book.begin('peer', 'direct')
  expect(book.why('peer', ['direct'])).toBeNull()
})
