import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRecoveryPhrase, encodeRecoveryPhrase, generateRecoveryPhrase, rootSignerOf } from './recovery-phrase.ts'

const entropy = fc.uint8Array({ minLength: 30, maxLength: 30 })

test('a phrase is 13 groups of four and gives back its entropy', () => {
  fc.assert(
    fc.property(entropy, (bytes) => {
      const phrase = encodeRecoveryPhrase(bytes)
      expect(phrase).toMatch(/^([0-9A-HJKMNP-TV-Z]{4} ){12}[0-9A-HJKMNP-TV-Z]{4}$/)
      expect(decodeRecoveryPhrase(phrase)).toEqual(bytes)
    }),
  )
})

test('how a person types it does not matter', () => {
  const phrase = encodeRecoveryPhrase(new Uint8Array(30))
  const sloppy = ` ${phrase.toLowerCase().replaceAll(' ', '-').replaceAll('0', 'o').replaceAll('1', 'l')}\n`
  expect(rootSignerOf(sloppy).keyId).toBe(rootSignerOf(phrase).keyId)
})

test('the root key of a phrase never changes between releases', () => {
  expect(encodeRecoveryPhrase(new Uint8Array(30).fill(1))).toBe(
    '040G 2081 040G 2081 040G 2081 040G 2081 040G 2081 040G 2081 1BCC',
  )
  expect(rootSignerOf(encodeRecoveryPhrase(new Uint8Array(30).fill(1))).keyId).toBe(
    'f0910a26c65e0cfc70296207913ae18e4d5bd1b5f8675c89a177f323a3ccaf8f',
  )
})

test('a wrong letter, two swapped ones, or a missing group is found, and the phrase is not repeated', () => {
  const phrase = generateRecoveryPhrase()
  const letters = phrase.replaceAll(' ', '')
  fc.assert(
    fc.property(fc.nat(51), fc.constantFrom(...'0123456789ABCDEFGHJKMNPQRSTVWXYZ'), (at, letter) => {
      fc.pre(letters[at] !== letter)
      const wrong = letters.slice(0, at) + letter + letters.slice(at + 1)
      expect(() => decodeRecoveryPhrase(wrong)).toThrow(expect.objectContaining({ code: 'recovery_phrase_invalid' }))
    }),
  )
  expect(() => decodeRecoveryPhrase(phrase.slice(5))).toThrow('48 letters')
  expect(() => decodeRecoveryPhrase(phrase.replace(/^.{6}/, 'AAAA U'))).toThrow('group 2')
  const bad = phrase.slice(0, -1)
  const error = caught(() => decodeRecoveryPhrase(`${bad}!`))
  expect(error).toMatchObject({ code: 'recovery_phrase_invalid' })
  expect(JSON.stringify(error)).not.toContain(phrase.slice(0, 9))
})

function caught(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
