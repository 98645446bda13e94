import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Packer, unpack } from './compression.ts'

test('what is packed unpacks to the same bytes and is never longer', async () => {
  const inputs = fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 8 }))
  await fc.assert(
    fc.asyncProperty(inputs, async ([part, times]) => {
      const bytes = Buffer.concat(Array.from({ length: times }, () => part))
      const packed = await new Packer().pack(bytes)
      expect(packed.bytes.length).toBeLessThanOrEqual(bytes.length)
      expect(Buffer.from(await unpack(packed.encoding, packed.bytes, bytes.length)).equals(bytes)).toBe(true)
    }),
  )
})

test('a frame that would unpack to more than was announced is refused', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
  await expect(unpack('zstd', bomb, 1000)).rejects.toMatchObject({ code: 'source_dishonest' })
  await expect(unpack('zstd', zstdCompressSync(Buffer.alloc(10)), 11)).rejects.toMatchObject({
    code: 'source_dishonest',
  })
  await expect(unpack('zstd', Buffer.from('not a frame'), 11)).rejects.toMatchObject({ code: 'source_dishonest' })
  await expect(unpack('raw', Buffer.from('too long'), 3)).rejects.toMatchObject({ code: 'source_dishonest' })
})

test('content that does not shrink is tried less and less, and shrinking content is packed again', async () => {
  const packer = new Packer()
  for (let at = 0; at < 100; at++) expect((await packer.pack(randomBytes(1000))).encoding).toBe('raw')
  const encodings: string[] = []
  for (let at = 0; at < 40; at++) encodings.push((await packer.pack(Buffer.alloc(1000))).encoding)
  const first = encodings.indexOf('zstd')
  expect(first).toBeGreaterThanOrEqual(0)
  expect(first).toBeLessThanOrEqual(16)
  expect(encodings.slice(first).every((encoding) => encoding === 'zstd')).toBe(true)
})
