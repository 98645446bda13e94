import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { Fold, type Folded } from './fold.ts'

const HOUR_MS = 3_600_000

/** The lines that a decision a tenth of a second, for an hour, leaves. */
function linesOfAnHour(decisionOf: (index: number) => Decision): Folded[] {
  const clock = new ManualClock()
  const fold = new Fold(clock)
  const lines: Folded[] = []
  for (let index = 0; index < HOUR_MS / 100; index++) {
    const line = fold.take(decisionOf(index))
    if (line !== undefined) lines.push(line)
    if (index % 100 === 0) lines.push(...fold.close())
    clock.advance(100)
  }
  return [...lines, ...fold.close(true)]
}

const countOf = (lines: readonly Folded[]): number => lines.reduce((sum, { count = 1 }) => sum + count, 0)

test('a member that connects again and again does not wash away what was written before', () => {
  const lines = linesOfAnHour((index) => ({
    what: 'connection',
    outcome: 'allowed',
    by: 'member-a',
    subject: `/ip6/2001:db8::${index.toString(16)}`,
  }))
  expect(lines.length).toBeLessThan(200)
  expect(countOf(lines)).toBe(36_000)
  expect(new Set(lines.map(({ by }) => by))).toEqual(new Set(['member-a']))
})

test('a token that renews again and again does not either', () => {
  const lines = linesOfAnHour(() => ({
    what: 'join',
    outcome: 'done',
    by: 'token',
    subject: 'renewal of the network key',
  }))
  expect(lines.length).toBeLessThan(200)
  expect(countOf(lines)).toBe(36_000)
})

test('one member that floods hides no connection of another', () => {
  const lines = linesOfAnHour((index) => ({
    what: 'connection',
    outcome: 'allowed',
    by: index === 30_000 ? 'member-b' : 'member-a',
    subject: '/ip4/192.0.2.1',
  }))
  expect(lines.filter(({ by }) => by === 'member-b')).toHaveLength(1)
})

test('a member that is refused again and again hides neither itself nor what another is refused', () => {
  const lines = linesOfAnHour((index) => ({
    what: 'call',
    outcome: 'refused',
    by: index % 600 === 599 ? 'member-b' : 'member-a',
    subject: `POST /v1/app/${index}/stop`,
  }))
  expect(lines.length).toBeLessThan(1000)
  expect(countOf(lines)).toBe(36_000)
  expect(lines.filter(({ by }) => by === 'member-b')).toHaveLength(60)
  expect(lines.filter(({ by }) => by === null)).toEqual([])
})

test('strangers with ever new ids are folded all the same', () => {
  for (const what of ['connection', 'join'] as const) {
    const lines = linesOfAnHour((index) => ({ what, outcome: 'refused', by: `id-${index}`, subject: '/ip4/192.0.2.1' }))
    expect(lines.length).toBeLessThan(1000)
    expect(countOf(lines)).toBe(36_000)
  }
})

test('equal calls of a peer are told as one, different ones each', () => {
  const equal = linesOfAnHour(() => ({ what: 'call', outcome: 'allowed', by: 'ops', subject: 'POST /v1/app/a/start' }))
  expect(equal.length).toBeLessThan(60 * 22)
  expect(countOf(equal)).toBe(36_000)
  const different = linesOfAnHour((index) => ({
    what: 'call',
    outcome: 'allowed',
    by: 'ops',
    subject: `POST /v1/app/a-${index}/start`,
  }))
  expect(different).toHaveLength(36_000)
})

test('what a person does here, and each change of the roster, has its line', () => {
  const calls = linesOfAnHour(() => ({ what: 'call', outcome: 'allowed', by: 'local', subject: 'POST /v1/key/trust' }))
  expect(calls).toHaveLength(36_000)
  const statements = linesOfAnHour(() => ({ what: 'statement', outcome: 'done', by: 'admin', subject: 'node pi' }))
  expect(statements).toHaveLength(36_000)
})
