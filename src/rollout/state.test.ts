import { expect, test } from 'vitest'
import type { Outcome } from './evidence.ts'
import { type TestNode, testDocument, testNodes } from './fixtures/nodes.ts'
import { nextStep, patienceMs, type RolloutView } from './state.ts'

const nodes = testNodes(5)
const [a, b, c, d] = nodes as [TestNode, TestNode, TestNode, TestNode]

function view(self: TestNode, said: [TestNode, Outcome][], changes: Partial<RolloutView> = {}): RolloutView {
  return {
    document: testDocument([[a], [b, c], [d]]),
    self: self.id,
    outcomes: new Map(said.map(([node, outcome]) => [node.id, outcome])),
    halts: [],
    conflicting: false,
    superseded: false,
    begun: false,
    nowMs: 1_700_000_000_001,
    quietMs: 0,
    ...changes,
  }
}
const kind = (...args: Parameters<typeof view>): string => nextStep(view(...args)).kind

test('the first wave starts at once, the next ones wait for evidence', () => {
  expect(kind(a, [])).toBe('start')
  expect(kind(b, [])).toBe('wait')
  expect(kind(b, [[a, 'healthy']])).toBe('start')
  expect(
    kind(d, [
      [a, 'healthy'],
      [b, 'healthy'],
    ]),
  ).toBe('wait')
  expect(
    kind(d, [
      [a, 'healthy'],
      [b, 'healthy'],
      [c, 'healthy'],
    ]),
  ).toBe('start')
})

test('silence is never health: after the deadline a waiting node refuses for good', () => {
  const { document } = view(b, [])
  expect(kind(b, [], { quietMs: patienceMs(document) - 1 })).toBe('wait')
  expect(nextStep(view(b, [], { quietMs: patienceMs(document) }))).toMatchObject({
    kind: 'refuse',
    reason: expect.stringContaining('no progress'),
  })
})

test('silence reverts nothing', () => {
  expect(
    kind(
      a,
      [
        [a, 'healthy'],
        [b, 'refused'],
      ],
      { quietMs: 1e9 },
    ),
  ).toBe('none')
})

test('a failure stops every start and takes back what is done', () => {
  expect(
    kind(b, [
      [a, 'healthy'],
      [c, 'failed'],
    ]),
  ).toBe('none')
  expect(
    kind(a, [
      [a, 'healthy'],
      [c, 'failed'],
    ]),
  ).toBe('revert')
  expect(
    kind(c, [
      [a, 'healthy'],
      [c, 'failed'],
    ]),
  ).toBe('none')
})

test('without rollback a failure stops and takes nothing back', () => {
  const document = testDocument([[a], [b, c], [d]], { rollback: false })
  expect(
    kind(
      a,
      [
        [a, 'healthy'],
        [c, 'failed'],
      ],
      { document },
    ),
  ).toBe('none')
  expect(
    kind(
      b,
      [
        [a, 'healthy'],
        [c, 'failed'],
      ],
      { document },
    ),
  ).toBe('none')
})

test('a refusal stops the rollout but takes nothing back', () => {
  expect(
    kind(d, [
      [a, 'healthy'],
      [b, 'healthy'],
      [c, 'refused'],
    ]),
  ).toBe('none')
  expect(
    kind(a, [
      [a, 'healthy'],
      [c, 'refused'],
    ]),
  ).toBe('none')
})

test('a budget of two lets one failure pass', () => {
  const document = testDocument([[a], [b, c], [d]], { failureBudget: 2, maxUnavailable: 1 })
  expect(
    kind(
      d,
      [
        [a, 'healthy'],
        [b, 'healthy'],
        [c, 'failed'],
      ],
      { document },
    ),
  ).toBe('start')
  expect(
    kind(
      d,
      [
        [a, 'failed'],
        [b, 'healthy'],
        [c, 'failed'],
      ],
      { document },
    ),
  ).toBe('none')
  expect(
    kind(
      b,
      [
        [b, 'healthy'],
        [a, 'failed'],
        [c, 'failed'],
      ],
      { document },
    ),
  ).toBe('revert')
})

test('those who may be missing are counted over all earlier waves', () => {
  const document = testDocument([[a, b], [c], [d]], { maxUnavailable: 1, failureBudget: 2 })
  expect(kind(c, [[a, 'healthy']], { document })).toBe('start')
  expect(
    kind(
      d,
      [
        [a, 'healthy'],
        [c, 'healthy'],
      ],
      { document },
    ),
  ).toBe('start')
  expect(kind(d, [[a, 'healthy']], { document })).toBe('wait')
})

test('a halt outranks a start; only one with revert takes back', () => {
  expect(kind(a, [], { halts: [{ revert: false }] })).toBe('none')
  expect(kind(a, [[a, 'healthy']], { halts: [{ revert: false }] })).toBe('none')
  expect(kind(a, [[a, 'healthy']], { halts: [{ revert: true }] })).toBe('revert')
})

test('two rollouts from one base both stop and take nothing back', () => {
  expect(kind(a, [], { conflicting: true })).toBe('none')
  expect(kind(a, [[a, 'healthy']], { conflicting: true })).toBe('none')
})

test('a later rollout takes the node: not begun is refused, done is left alone', () => {
  expect(kind(a, [], { superseded: true })).toBe('refuse')
  expect(
    kind(
      a,
      [
        [a, 'healthy'],
        [b, 'failed'],
      ],
      { superseded: true },
    ),
  ).toBe('none')
})

test('a turn that a crash cut off goes on, unless the rollout was stopped meanwhile', () => {
  expect(kind(b, [], { begun: true })).toBe('start')
  expect(kind(a, [], { begun: true, nowMs: 1_800_000_000_000 })).toBe('start')
  expect(kind(a, [], { begun: true, halts: [{ revert: false }] })).toBe('refuse')
})

test('after its time nothing starts', () => {
  expect(kind(a, [], { nowMs: 1_800_000_000_000 })).toBe('none')
})

test('a node that is no target does nothing', () => {
  expect(kind(nodes[4] as TestNode, [])).toBe('none')
})
