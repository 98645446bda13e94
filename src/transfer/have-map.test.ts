import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HaveMap, haveMapBytes } from './have-map.ts'

const maps = fc
  .integer({ min: 0, max: 300 })
  .chain((size) => fc.tuple(fc.constant(size), fc.uniqueArray(fc.integer({ min: 0, max: Math.max(0, size - 1) }))))

test('a map read back names the same chunks', () => {
  fc.assert(
    fc.property(maps, ([size, ordinals]) => {
      const map = new HaveMap(size)
      for (const ordinal of ordinals) map.add(ordinal)
      const encoded = map.encode()
      expect(encoded.length).toBe(haveMapBytes(size))
      const decoded = HaveMap.decode(encoded) as HaveMap
      expect(decoded.size).toBe(size)
      expect(decoded.count).toBe(map.count)
      for (let ordinal = 0; ordinal < size; ordinal++) {
        expect(decoded.has(ordinal)).toBe(ordinals.includes(ordinal))
      }
    }),
  )
})

test('a map with one flipped bit, cut short or lengthened is not read', () => {
  fc.assert(
    fc.property(maps, fc.nat(), fc.integer({ min: 0, max: 7 }), ([size, ordinals], position, bit) => {
      const map = new HaveMap(size)
      for (const ordinal of ordinals) map.add(ordinal)
      const encoded = map.encode()
      const flipped = Buffer.from(encoded)
      const at = position % flipped.length
      flipped[at] = (flipped[at] as number) ^ (1 << bit)
      expect(HaveMap.decode(flipped)).toBeUndefined()
      expect(HaveMap.decode(encoded.subarray(0, -1))).toBeUndefined()
      expect(HaveMap.decode(Buffer.concat([encoded, Buffer.of(0)]))).toBeUndefined()
    }),
  )
})

test('adding and deleting keep the count, also when repeated or out of range', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: -2, max: 22 }))), (steps) => {
      const map = new HaveMap(20)
      const model = new Set<number>()
      for (const [adds, ordinal] of steps) {
        if (adds) map.add(ordinal)
        else map.delete(ordinal)
        if (adds && ordinal >= 0 && ordinal < 20) model.add(ordinal)
        if (!adds) model.delete(ordinal)
      }
      expect(map.count).toBe(model.size)
      expect(map.copy().complete).toBe(model.size === 20)
    }),
  )
  expect(new HaveMap(0).complete).toBe(true)
  expect(new HaveMap(9).fill().complete).toBe(true)
})
