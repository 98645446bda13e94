import { createHash, hkdfSync, randomBytes } from 'node:crypto'
import { type Signer, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'

/**
 * The phrase is 52 letters of Crockford's base32 (260 bits) in 13 groups of four: 30 random bytes, then the first 20
 * bits of their SHA-256 under a label, so that a slip of the pen is found (one in a million is not).
 */
const ENTROPY_BYTES = 30
const CHECK_BITS = 20n
const LETTERS = 52
const GROUP_LETTERS = 4
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LABEL = 'warren recovery phrase v1'

/** A fresh recovery phrase. It is shown once and kept nowhere: whoever has it can change the admins of the network. */
export function generateRecoveryPhrase(): string {
  return encodeRecoveryPhrase(randomBytes(ENTROPY_BYTES))
}

/** The phrase of 30 bytes of entropy. */
export function encodeRecoveryPhrase(entropy: Uint8Array): string {
  let number = (toNumber(entropy) << CHECK_BITS) | checksumOf(entropy)
  let letters = ''
  for (let index = 0; index < LETTERS; index++) {
    letters = ALPHABET[Number(number & 31n)] + letters
    number >>= 5n
  }
  return letters.match(new RegExp(`.{${GROUP_LETTERS}}`, 'g'))?.join(' ') ?? ''
}

/**
 * The entropy of a phrase as a person types it: case, spaces and hyphens do not matter, O is 0, I and L are 1. Fails
 * with `recovery_phrase_invalid`, naming where the mistake is and never the phrase.
 */
export function decodeRecoveryPhrase(phrase: string): Uint8Array {
  const letters = phrase.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1')
  let number = 0n
  for (const [index, letter] of [...letters.slice(0, LETTERS)].entries()) {
    const value = ALPHABET.indexOf(letter)
    if (value < 0) throw invalid(`group ${Math.floor(index / GROUP_LETTERS) + 1} has a letter that no phrase has`)
    number = (number << 5n) | BigInt(value)
  }
  if (letters.length !== LETTERS) throw invalid(`it has ${letters.length} letters, not ${LETTERS}`)
  const entropy = Buffer.from((number >> CHECK_BITS).toString(16).padStart(ENTROPY_BYTES * 2, '0'), 'hex')
  if (checksumOf(entropy) !== (number & ((1n << CHECK_BITS) - 1n)))
    throw invalid('its checksum does not fit: a letter is wrong')
  return new Uint8Array(entropy)
}

/** The root key of a phrase. Fails as `decodeRecoveryPhrase`. */
export function rootSignerOf(phrase: string): Signer {
  const seed = hkdfSync('sha256', decodeRecoveryPhrase(phrase), '', 'warren root key v1', 32)
  return signerFromSeed(new Uint8Array(seed))
}

function checksumOf(entropy: Uint8Array): bigint {
  const digest = createHash('sha256').update(LABEL).update(entropy).digest('hex')
  return BigInt(`0x${digest.slice(0, Number(CHECK_BITS) / 4)}`)
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

function invalid(what: string): Error {
  return identityErrors.recovery_phrase_invalid(`the recovery phrase is not valid: ${what}`, {
    hint: 'Type it again from the paper: 13 groups of 4 letters and digits.',
  })
}
