import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSize } from './sizes.ts'

test('decimal and binary units are read', () => {
  expect(parseSize('512B')).toBe(512)
  expect(parseSize('64KB')).toBe(64_000)
  expect(parseSize('10MB')).toBe(10_000_000)
  expect(parseSize('1.5 GB')).toBe(1_500_000_000)
  expect(parseSize('4GiB')).toBe(4 * 2 ** 30)
})

test.each(['', '10', '-1MB', '10mb', '10 M', 'MB', '1.5B', '10iB', '9007199254740993B', '1MB '])(
  '%j is refused',
  (text) => {
    expect(parseSize(text)).toBeUndefined()
  },
)

test('whole numbers of every unit are exact', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 8000 }), fc.constantFrom('KiB', 'MiB', 'GiB', 'TiB'), (count, unit) => {
      const power = { KiB: 10, MiB: 20, GiB: 30, TiB: 40 }[unit] as number
      expect(parseSize(`${count}${unit}`)).toBe(count * 2 ** power)
    }),
  )
})
