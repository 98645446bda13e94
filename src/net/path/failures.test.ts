import { expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { FailureBook } from './failures.ts'

const RELAY = '12D3KooWK5hTF7PGjBXkCwD9iMP6XfNxN8hijHejBhiczFYWWD5E'
const NO_RESERVATION = 'that node holds no reservation here'

test('a relay is called by its name, and by the end of its id where it has none', () => {
  const named = new FailureBook(systemClock, (peer) => (peer === RELAY ? 'vps' : null))
  const unnamed = new FailureBook(systemClock)
  for (const book of [named, unnamed]) book.note('peer', { way: 'relay', what: RELAY, reason: NO_RESERVATION })
  expect(named.why('peer', ['relay'])).toBe(`relay vps: ${NO_RESERVATION}`)
  expect(unnamed.why('peer', ['relay'])).toBe(`relay zFYWWD5E: ${NO_RESERVATION}`)
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
