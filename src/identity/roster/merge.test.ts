import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Envelope } from '../envelope.ts'
import { evaluate } from './evaluate.ts'
import { headsToSay, statementsAfter } from './exchange.ts'
import { genesis, historyOf, steps } from './fixtures/history.ts'
import { START_MS, settle } from './fixtures.ts'
import { StatementIntake } from './intake.ts'
import type { RosterState } from './state.ts'

/** Keys to sort by, and sizes of goes: cheap to shrink and to print. */
const mixing = fc.record({
  keys: fc.array(fc.nat(1000), { minLength: 64, maxLength: 64 }),
  goSizes: fc.array(fc.nat(5), { maxLength: 30 }),
})

test('any order, any doubling and any cutting into goes gives the same state and digest', () => {
  fc.assert(
    fc.property(steps, mixing, (taken, { keys, goSizes }) => {
      const { envelopes: all, checkpoints } = historyOf(taken)
      const keyOf = new Map(all.map((envelope, index) => [envelope, keys[index % keys.length] as number]))
      const order = all.toSorted((a, b) => (keyOf.get(a) as number) - (keyOf.get(b) as number))
      const again = all.filter((envelope) => (keyOf.get(envelope) as number) % 3 === 0)
      const expected = settle(genesis, all)
      const other = settle(genesis, [...order, ...again], goSizes)
      expect(expected.rejected).toEqual([])
      expect(other.evaluation.state).toEqual(expected.evaluation.state)
      expect(other.evaluation.digest).toBe(expected.evaluation.digest)
      expect(other.evaluation.heads).toEqual(expected.evaluation.heads)
      // What follows a statement that a checkpoint did away with may wait for it in vain.
      if (checkpoints.length === 0) expect(other.waiting).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('equal digests mean equal states, at each step of a history', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      const seen = new Map<string, unknown>()
      const { envelopes: all } = historyOf(taken)
      for (let count = 0; count <= all.length; count++) {
        const { digest, state } = settle(genesis, all.slice(0, count)).evaluation
        if (seen.has(digest)) expect(state).toEqual(seen.get(digest))
        seen.set(digest, state)
      }
    }),
    { numRuns: 60 },
  )
})

/** A node with part of the statements, as in a partition. */
function nodeWith(statements: readonly Envelope[]) {
  const intake = new StatementIntake(genesis)
  let evaluation = evaluate(genesis, intake.statements)
  const merge = (given: readonly Envelope[]) => {
    const go = intake.begin(evaluation)
    for (const envelope of given) {
      go.take(envelope)
      while (go.step());
    }
    const { added } = go.finish()
    evaluation = evaluate(genesis, intake.statements)
    return added.length
  }
  merge(statements)
  return {
    merge,
    heads: () => headsToSay({ statements: intake.statements, evaluation }),
    view: () => ({ digest: evaluation.digest, state: evaluation.state }),
    after: (heads: typeof evaluation.heads) =>
      statementsAfter(heads, { statements: intake.statements, evaluation }).map(({ envelope }) => envelope),
  }
}

test('two parts of a set that ask each other until their digests agree come to the same, and no round is in vain', () => {
  const sides = fc.array(fc.constantFrom('left', 'right', 'both'), { minLength: 64, maxLength: 64 })
  fc.assert(
    fc.property(steps, sides, (taken, side) => {
      const { envelopes: all } = historyOf(taken)
      const a = nodeWith(all.filter((_envelope, index) => side[index % side.length] !== 'right'))
      const b = nodeWith(all.filter((_envelope, index) => side[index % side.length] !== 'left'))
      while (a.view().digest !== b.view().digest) {
        const [forA, forB] = [b.after(a.heads()), a.after(b.heads())]
        expect(a.merge(forA) + b.merge(forB)).toBeGreaterThan(0)
      }
      expect(a.view()).toEqual(b.view())
    }),
    { numRuns: 300 },
  )
})

/** All that a state says, but what a checkpoint changes on purpose. */
function essenceOf(state: RosterState): object {
  const isOpen = (id: string) => {
    const invite = state.invites.get(id)
    return invite && !invite.closed && invite.expires > START_MS && invite.usedBy.length < invite.uses
  }
  const invites = [...state.invites].filter(([id]) => isOpen(id))
  return { ...state, invites, alarms: [...state.alarms].sort((a, b) => (a.message < b.message ? -1 : 1)) }
}

test('a checkpoint changes nothing of the state but old invites, and leaves no more than before', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      for (const { held, parts } of historyOf(taken).checkpoints) {
        const before = settle(genesis, held)
        const after = settle(genesis, [...held, ...parts])
        expect(after.statements.base).toBeDefined()
        expect(after.statements.missingLive()).toEqual([])
        const newestTimeMs = Math.max(before.evaluation.state.newestTimeMs, after.evaluation.state.newestTimeMs)
        expect(essenceOf(after.evaluation.state)).toEqual({ ...essenceOf(before.evaluation.state), newestTimeMs })
        expect(after.statements.size).toBeLessThanOrEqual(before.statements.size + parts.length)
        // A node that begins after it comes to the same.
        const left = statementsAfter([], after).map(({ envelope }) => envelope)
        expect(settle(genesis, left)).toMatchObject({ rejected: [], waiting: 0 })
        expect(settle(genesis, left).evaluation.digest).toBe(after.evaluation.digest)
      }
    }),
    { numRuns: 300 },
  )
})
