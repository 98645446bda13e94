const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, BigInt(value)]))

/** Base58 in Bitcoin's alphabet (multibase `base58btc` without its prefix). Meant for ids, not for long data. */
export function encodeBase58(bytes: Uint8Array): string {
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++
  let number = 0n
  for (const byte of bytes) number = number * 256n + BigInt(byte)
  let digits = ''
  for (; number > 0n; number /= 58n) digits = ALPHABET[Number(number % 58n)] + digits
  return '1'.repeat(zeros) + digits
}

/** The bytes of a base58 text; undefined where a letter is not of the alphabet. */
export function decodeBase58(text: string): Uint8Array | undefined {
  let zeros = 0
  while (text[zeros] === '1') zeros++
  let number = 0n
  for (const letter of text) {
    const value = VALUES.get(letter)
    if (value === undefined) return undefined
    number = number * 58n + value
  }
  const hex = number === 0n ? '' : number.toString(16)
  const rest = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return new Uint8Array(Buffer.concat([Buffer.alloc(zeros), rest]))
}
