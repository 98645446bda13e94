import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeProbe, encodeProbe, probeKey } from './probe-packet.ts'

const key = probeKey('a', 'b')

test('a datagram is understood by the other side only, with the key of the same attempt', () => {
  for (const kind of ['probe', 'echo', 'take'] as const) {
    const bytes = encodeProbe(kind, 'first', key)
    expect(decodeProbe(bytes, 'first', key)).toBe(kind)
    expect(decodeProbe(bytes, 'second', key)).toBeUndefined()
    expect(decodeProbe(bytes, 'first', probeKey('b', 'a'))).toBeUndefined()
  }
})

test('any other datagram is nothing, and one that was changed as well', () => {
  const bytes = encodeProbe('take', 'second', key)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (other) => {
      expect(decodeProbe(other, 'second', key)).toBeUndefined()
    }),
  )
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (index, flip) => {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ flip
      expect(decodeProbe(changed, 'second', key)).toBeUndefined()
    }),
  )
})
