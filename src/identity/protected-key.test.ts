import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { signerFromSeed } from './ed25519.ts'
import { isProtectedKey, parseProtectedKey, sealKey } from './protected-key.ts'

/** A thousandth of what files are written with; the format is the same. */
const cost = { n: 128, r: 8, p: 1 }
const seed = new Uint8Array(32).fill(7)
const passphrase = 'correct horse battery'

const seal = async (): Promise<Buffer> => Buffer.from(await sealKey(seed, { passphrase, cost }))
const codeOf = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}

/** The file with other parameters, and the checksum that fits them: what a hostile writer can make. */
const rewrite = (file: Buffer, change: (fields: Record<string, unknown>) => Record<string, unknown>): Buffer => {
  const [title, json] = file.toString().split('\n') as [string, string]
  const lines = `${title}\n${JSON.stringify(change(JSON.parse(json)))}\n`
  return Buffer.from(`${lines}sha256 ${createHash('sha256').update(lines).digest('hex')}\n`)
}

test('a sealed key opens with its passphrase and with no other, and names its public key in clear', async () => {
  const file = await seal()
  expect(isProtectedKey(file)).toBe(true)
  expect(file.includes(Buffer.from(seed))).toBe(false)
  const key = parseProtectedKey(file, 'a.key')
  expect(key.keyId).toBe(signerFromSeed(seed).keyId)
  expect(await key.open(passphrase)).toEqual(seed)
  await expect(key.open('correct horse batterz')).rejects.toMatchObject({ code: 'passphrase_wrong' })
  await expect(key.open('')).rejects.toMatchObject({ code: 'passphrase_wrong' })
})

test('every seed and passphrase comes back, and two files of one key share nothing secret', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.string({ minLength: 8, maxLength: 60, unit: 'grapheme' }),
      async (bytes, words) => {
        const [first, second] = [
          await sealKey(bytes, { passphrase: words, cost }),
          await sealKey(bytes, { passphrase: words, cost }),
        ]
        expect(await parseProtectedKey(Buffer.from(first), 'x').open(words)).toEqual(bytes)
        const boxes = [first, second].map((text) => JSON.parse(text.split('\n')[1] as string).box)
        expect(boxes[0]).not.toBe(boxes[1])
      },
    ),
    { numRuns: 30 },
  )
})

test('a passphrase counts by its letters, however a keyboard composes them', async () => {
  const file = await sealKey(seed, { passphrase: 'caf\u00e9 caf\u00e9', cost })
  expect(await parseProtectedKey(Buffer.from(file), 'x').open('cafe\u0301 cafe\u0301')).toEqual(seed)
})

test('any changed or lost byte is damage, not a wrong passphrase', async () => {
  const file = await seal()
  fc.assert(
    fc.property(fc.nat(file.length - 2), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(file)
      changed[at] = (changed[at] as number) ^ flip
      expect(codeOf(() => parseProtectedKey(changed, 'x'))).toBe('key_invalid')
      expect(codeOf(() => parseProtectedKey(file.subarray(0, at), 'x'))).toBe('key_invalid')
    }),
  )
})

test('parameters and public key cannot be changed under the box, even with a checksum that fits', async () => {
  const file = await seal()
  const other = Buffer.from(signerFromSeed(new Uint8Array(32).fill(8)).publicKey).toString('base64')
  for (const change of [{ public: other }, { n: 256 }, { salt: Buffer.alloc(16).toString('base64') }]) {
    const key = parseProtectedKey(
      rewrite(file, (fields) => ({ ...fields, ...change })),
      'x',
    )
    await expect(key.open(passphrase)).rejects.toMatchObject({ code: 'passphrase_wrong' })
  }
})

test.each([
  { n: 2 ** 24 },
  { n: 2 ** 40 },
  { r: 2 ** 20 },
  { p: 2 ** 20 },
  { p: 2 ** 13 },
  { n: 100 },
  { n: 2 ** 18, p: 3 },
  { n: 2 ** 17, r: 1 },
  { n: -128 },
  { n: '128' },
  { kdf: 'pbkdf2' },
  { cipher: 'none' },
  { salt: '' },
  { box: 'AAAA' },
  { more: true },
])('a file that asks for %j is refused before anything is computed', async (change) => {
  const file = rewrite(await seal(), (fields) => ({ ...fields, ...change }))
  expect(codeOf(() => parseProtectedKey(file, 'x'))).toBe('key_invalid')
})

test('random bytes behind the title are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const file = Buffer.concat([Buffer.from('warren protected key 1\n'), bytes])
      expect(codeOf(() => parseProtectedKey(file, 'x'))).toBe('key_invalid')
    }),
  )
})

test('a passphrase that would be found by trying is not taken', async () => {
  await expect(sealKey(seed, { passphrase: 'short', cost })).rejects.toMatchObject({ code: 'passphrase_invalid' })
  await expect(sealKey(seed, { passphrase: 'x'.repeat(2000), cost })).rejects.toMatchObject({
    code: 'passphrase_invalid',
    message: expect.not.stringContaining('xxx'),
  })
})
