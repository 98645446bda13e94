import fc from 'fast-check'
import { expect, test } from 'vitest'
import { requestSchema } from './contract.ts'
import type { RolloutDirectory, RolloutNode } from './deps.ts'
import { cutWaves, resolveTargets } from './targets.ts'

test('waves hold every target once, in order, in the sizes asked for', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat()), fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }), (all, sizes) => {
      const waves = cutWaves(all, sizes)
      expect(waves.flat()).toEqual(all)
      for (const [index, wave] of waves.slice(0, -1).entries()) {
        expect(wave.length).toBe(sizes[Math.min(index, sizes.length - 1)])
      }
    }),
  )
})

test('the last size repeats, and no size means one wave', () => {
  expect(cutWaves(['a', 'b', 'c', 'd', 'e'], [1, 2])).toEqual([['a'], ['b', 'c'], ['d', 'e']])
  expect(cutWaves(['a', 'b'], [])).toEqual([['a', 'b']])
  expect(() => cutWaves(['a'], [0])).toThrow(expect.objectContaining({ code: 'invalid_value' }))
})

const node = (name: string, role: RolloutNode['role']): RolloutNode => ({
  id: name,
  name,
  role,
  labels: {},
  state: 'up',
})
const all = [node('n10', 'member'), node('n2', 'admin'), node('vps', 'relay')]
const directory: RolloutDirectory = {
  self: { id: 'n2', name: 'n2' },
  nodes: () => all,
  select: (targets) => all.filter(({ name }) => targets.includes(name)),
  nameOf: () => undefined,
  roleOf: () => 'admin',
}

test('relays are left out, and nodes come in the order of their names', () => {
  expect(resolveTargets(directory, { on: [], all: true }).map(({ name }) => name)).toEqual(['n2', 'n10'])
})

test('no target, and targets that run no apps, are refused with the next step', () => {
  for (const request of [
    { on: [], all: false },
    { on: ['vps'], all: false },
  ]) {
    expect(() => resolveTargets(directory, request)).toThrow(expect.objectContaining({ code: 'rollout_empty' }))
  }
})

test('a thousand ids may be asked for, and not a thousand long selectors, which cost every node that is asked', () => {
  const pkg = { name: 'hello', version: '1.0.0', digest: 'ab'.repeat(32) }
  const accepts = (on: string[]) => requestSchema.safeParse({ package: pkg, on }).success
  expect(accepts(Array.from({ length: 1000 }, (_, index) => `12D3KooW${String(index).padStart(44, 'x')}`))).toBe(true)
  expect(accepts(Array.from({ length: 1000 }, () => 'a!=b,'.repeat(100).slice(0, -1)))).toBe(false)
  expect(accepts(['a'.repeat(1000)])).toBe(false)
})
