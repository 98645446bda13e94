import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Envelope } from '../envelope.ts'
import { evaluate } from './evaluate.ts'
import { statementsAfter } from './exchange.ts'
import {
  adminsBody,
  alice,
  bob,
  carol,
  createForge,
  makeGenesis,
  nodeBody,
  settle,
  type Writer,
  writer,
} from './fixtures.ts'
import { toBase64 } from './genesis.ts'
import { StatementIntake } from './intake.ts'

const genesis = makeGenesis()
const subjects = ['s1', 's2', 's3'].map(writer)
const admins = [alice, bob, carol]

/** One step of a history: who does what, from which place of its own log (0 is its head; more makes a fork). */
const step = fc.record({
  by: fc.nat(2),
  what: fc.constantFrom('node', 'node', 'node', 'key', 'revoke', 'remove', 'remove-admin', 'admins', 'unknown'),
  subject: fc.nat(2),
  revision: fc.integer({ min: 1, max: 4 }),
  back: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) }),
})

/** A history of three admins with forks, removals in all directions and competing admin sets. */
function historyOf(steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]): Envelope[] {
  const forge = createForge(genesis)
  const logs = new Map<string, { seq: number; hash: string }[]>()
  const written: Envelope[] = []
  const start = { seq: 0, hash: genesis.networkId }
  const logOf = ({ id }: Writer) => logs.get(id) ?? [start]
  let set = { version: 1, hash: genesis.networkId, admins: [alice] as Writer[] }
  const write = (by: Writer, type: string, body: unknown, back = 0) => {
    const log = logOf(by)
    const made = forge.write(by, type, body, { after: log[Math.max(0, log.length - 1 - back)] ?? start })
    logs.set(by.id, [...log, { seq: made.seq, hash: made.hash }])
    written.push(made.envelope)
    return made
  }
  const second = write(alice, 'admins', adminsBody(admins, { version: 2, previous: set.hash }))
  set = { version: 2, hash: second.hash, admins }
  for (const { by, what, subject, revision, back } of steps) {
    const author = admins[by] as Writer
    const node = subjects[subject] as Writer
    const other = admins[subject] as Writer
    if (what === 'node') write(author, 'node', nodeBody(node, { revision, name: `n${revision % 2}` }), back)
    if (what === 'key')
      write(author, 'key', { key: toBase64(node.authority.publicKey), name: `k${by}`, revision }, back)
    if (what === 'revoke') write(author, 'key-revoke', { key: node.authority.keyId }, back)
    if (what === 'remove') write(author, 'node-remove', { id: node.id }, back)
    if (what === 'unknown') write(author, 'later', { revision }, back)
    if (what === 'remove-admin') {
      const log = logOf(other)
      write(author, 'node-remove', { id: other.id, last: log[Math.max(0, log.length - revision)] }, back)
    }
    if (what === 'admins') {
      const staying = set.admins.filter(({ id }) => id !== other.id || id === author.id)
      const left = set.admins.filter((admin) => !staying.includes(admin))
      const removed = left.map((admin) => ({ id: admin.id, ...logOf(admin).at(-1) }))
      const body = adminsBody([...staying, ...(revision === 1 ? [node] : [])], {
        version: set.version + 1,
        previous: set.hash,
        removed,
      })
      const made = write(author, 'admins', body, back)
      // Some of the next sets follow this one, others compete with it.
      if (revision > 2) set = { version: set.version + 1, hash: made.hash, admins: staying }
    }
  }
  return written
}

const steps = fc.array(step, { maxLength: 24 })
/** Keys to sort by, and sizes of goes: cheap to shrink and to print. */
const mixing = fc.record({
  keys: fc.array(fc.nat(1000), { minLength: 26, maxLength: 26 }),
  goSizes: fc.array(fc.nat(5), { maxLength: 20 }),
})

test('any order, any doubling and any cutting into goes gives the same state and digest', () => {
  fc.assert(
    fc.property(steps, mixing, (taken, { keys, goSizes }) => {
      const all = historyOf(taken)
      const keyOf = new Map(all.map((envelope, index) => [envelope, keys[index] as number]))
      const order = all.toSorted((a, b) => (keyOf.get(a) as number) - (keyOf.get(b) as number))
      const again = all.filter((envelope) => (keyOf.get(envelope) as number) % 3 === 0)
      const expected = settle(genesis, all)
      const other = settle(genesis, [...order, ...again], goSizes)
      expect(expected.rejected).toEqual([])
      expect(other.evaluation.state).toEqual(expected.evaluation.state)
      expect(other.evaluation.digest).toBe(expected.evaluation.digest)
      expect(other.evaluation.heads).toEqual(expected.evaluation.heads)
      expect(other.waiting).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('equal digests mean equal states, at each step of a history', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      const seen = new Map<string, unknown>()
      const all = historyOf(taken)
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
    heads: () => evaluation.heads,
    view: () => ({ digest: evaluation.digest, state: evaluation.state }),
    after: (heads: typeof evaluation.heads) =>
      statementsAfter(heads, { statements: intake.statements, evaluation }).map(({ envelope }) => envelope),
  }
}

test('two parts of a set that ask each other until their digests agree come to the same, and no round is in vain', () => {
  const sides = fc.array(fc.constantFrom('left', 'right', 'both'), { minLength: 26, maxLength: 26 })
  fc.assert(
    fc.property(steps, sides, (taken, side) => {
      const all = historyOf(taken)
      const a = nodeWith(all.filter((_envelope, index) => side[index] !== 'right'))
      const b = nodeWith(all.filter((_envelope, index) => side[index] !== 'left'))
      while (a.view().digest !== b.view().digest) {
        const [forA, forB] = [b.after(a.heads()), a.after(b.heads())]
        expect(a.merge(forA) + b.merge(forB)).toBeGreaterThan(0)
      }
      expect(a.view()).toEqual(b.view())
    }),
    { numRuns: 300 },
  )
})
