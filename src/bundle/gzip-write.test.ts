import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GzipWriter } from './gzip-write.ts'

async function gzip(parts: readonly Uint8Array[]): Promise<Buffer> {
  const written: Buffer[] = []
  const writer = new GzipWriter(async (bytes) => void written.push(Buffer.from(bytes)))
  for (const part of parts) await writer.write(part)
  await writer.end()
  return Buffer.concat(written)
}

test('what is written unzips to the same bytes, and does not depend on the portions', async () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.tuple(fc.nat(255), fc.integer({ min: 0, max: 1_500_000 })).map(([byte, length]) => Buffer.alloc(length, byte)),
    fc
      .integer({ min: 0, max: 1_500_000 })
      .map((length) => crypto.getRandomValues(Buffer.alloc(Math.min(length, 65_536)))),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
      const whole = Buffer.concat(parts)
      const bytes = await gzip(parts)
      expect(gunzipSync(bytes).equals(whole)).toBe(true)
      expect((await gzip([whole])).equals(bytes)).toBe(true)
    }),
    { numRuns: 30 },
  )
})

test('members written one after another unzip as one', async () => {
  const bytes = Buffer.concat([await gzip([Buffer.from('one ')]), await gzip([]), await gzip([Buffer.from('two')])])
  expect(gunzipSync(bytes).toString()).toBe('one two')
})

test('a sink that fails is heard, and is never called twice at once', async () => {
  let calls = 0
  let active = 0
  const writer = new GzipWriter(async () => {
    expect(++active).toBe(1)
    await new Promise((resolve) => setImmediate(resolve))
    active--
    if (++calls > 3) throw new Error('disk full')
  })
  const work = async () => {
    for (let at = 0; at < 20; at++) await writer.write(Buffer.alloc(1024 * 1024, at))
    await writer.end()
  }
  await expect(work()).rejects.toThrow('disk full')
})
