import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { rejectOnAbort } from '../../base/wait.ts'
import type { StreamOpener } from '../channel.ts'
import { PASSAGE_RATE, PASSAGES } from './constants.ts'
import { Passages } from './passages.ts'
import type { Passage } from './types.ts'

/** Passages to admins that never answer, until they are given up. */
function silentAdmins(reaches: (peer: string) => boolean = () => true) {
  const clock = new ManualClock()
  const opener: StreamOpener = {
    openOn: (_peer, _protocol, { signal } = {}) => rejectOnAbort(signal as AbortSignal),
  }
  const passages = new Passages({ opener, reaches, clock, counters: new Counters() })
  const given = new AbortController()
  const open = (source: string, to = 'admin') => passages.open({ from: 'stranger', to, source, signal: given.signal })
  return { clock, open, given }
}
const codeOf = (outcome: Passage | { code: string }): string => ('code' in outcome ? outcome.code : 'open')

test('one address asks so often at once, then at its rate, and another one asks meanwhile', async () => {
  const { clock, open } = silentAdmins(() => false)
  for (let count = 0; count < PASSAGE_RATE.burst; count++) expect(codeOf(await open('one'))).toBe('no_reservation')
  expect(codeOf(await open('one'))).toBe('too_fast')
  expect(codeOf(await open('other'))).toBe('no_reservation')
  clock.advance(1000)
  for (let count = 0; count < PASSAGE_RATE.perSecond; count++) expect(codeOf(await open('one'))).toBe('no_reservation')
  expect(codeOf(await open('one'))).toBe('too_fast')
})

test('so many are on their way to one admin, from one address and in all, and what is given up makes room', async () => {
  const { open, given } = silentAdmins()
  const waiting = Array.from({ length: PASSAGES.byAdmin }, (_, index) => open(`10.0.0.${index}`))
  expect(codeOf(await open('10.0.1.1'))).toBe('limit_reached')
  const more = PASSAGES.inAll - PASSAGES.byAdmin
  waiting.push(...Array.from({ length: more }, (_, index) => open(`10.0.2.${index}`, 'second')))
  expect(codeOf(await open('10.0.3.1', 'third'))).toBe('limit_reached')
  given.abort(new Error('they have left'))
  expect(new Set((await Promise.all(waiting)).map(codeOf))).toEqual(new Set(['target_silent']))
  expect(codeOf(await open('10.0.3.1', 'third'))).toBe('target_silent')

  const alone = silentAdmins()
  const own = Array.from({ length: PASSAGES.bySource }, (_, index) => alone.open('one', `admin ${index % 4}`))
  expect(codeOf(await alone.open('one', 'admin 5'))).toBe('limit_reached')
  alone.given.abort(new Error('they have left'))
  await Promise.all(own)
})
