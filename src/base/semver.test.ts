import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareVersions } from './semver.ts'

/** The order that semver.org gives as its example, and more. */
const ORDERED = [
  '0.0.1',
  '0.9.0',
  '0.10.0',
  '1.0.0-1',
  '1.0.0-alpha',
  '1.0.0-alpha.1',
  '1.0.0-alpha.beta',
  '1.0.0-beta',
  '1.0.0-beta.2',
  '1.0.0-beta.11',
  '1.0.0-rc.1',
  '1.0.0',
  '1.0.1',
  '2.0.0',
  '10.0.0',
]

test('versions rank as semver.org says', () => {
  const shuffled = ORDERED.toReversed().toSorted((a, b) => compareVersions(a, b) as number)
  expect(shuffled).toEqual(ORDERED)
  expect(compareVersions('1.0.0+a', '1.0.0+b')).toBe(0)
})

test.each(['', '1', '1.0', '1.0.0.0', 'v1.0.0', '1.0.0-', '1.0.0-a..b', '1.0.0 ', '9999999999999999.0.0'])(
  '"%s" is no version',
  (text) => {
    expect(compareVersions(text, '1.0.0')).toBeUndefined()
    expect(compareVersions('1.0.0', text)).toBeUndefined()
  },
)

test('the order is total: turning a pair round turns the answer', () => {
  const version = fc
    .tuple(
      fc.nat(3),
      fc.nat(3),
      fc.nat(3),
      fc.array(fc.oneof(fc.nat(12).map(String), fc.constantFrom('a', 'b', 'a1')), { maxLength: 3 }),
    )
    .map(([a, b, c, pre]) => `${a}.${b}.${c}${pre.length === 0 ? '' : `-${pre.join('.')}`}`)
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      const [ab, ba, bc, ac] = [
        compareVersions(a, b) as number,
        compareVersions(b, a) as number,
        compareVersions(b, c) as number,
        compareVersions(a, c) as number,
      ]
      expect(Math.sign(ab)).toBe(-Math.sign(ba) + 0)
      if (ab <= 0 && bc <= 0) expect(ac).toBeLessThanOrEqual(0)
    }),
  )
})
