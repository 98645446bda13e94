/** Crockford's base32 in lower case: no letter that reads like a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** Shortest id shown: four characters tell a million rollouts in twenty apart often enough; more are added if needed. */
const MIN_LENGTH = 4
/** Sixteen characters are 80 bits of the id. */
const MAX_LENGTH = 16
/** Hex digits of the id that these are made of. */
const ID_DIGITS = 20

/** The short form of a rollout's id (64 hex digits), 16 characters; people use a unique start of it. */
export function longTextOf(id: string): string {
  let bits = BigInt(`0x${id.slice(0, ID_DIGITS)}`)
  let text = ''
  for (let index = 0; index < MAX_LENGTH; index++) {
    text = ALPHABET[Number(bits & 31n)] + text
    bits >>= 5n
  }
  return text
}

/** The shortest start of the id, from four characters, that no other id of `all` shares: `5k2p`. */
export function shortIdOf(id: string, all: Iterable<string>): string {
  const own = longTextOf(id)
  let length = MIN_LENGTH
  for (const other of all) {
    if (other === id) continue
    const text = longTextOf(other)
    while (length < MAX_LENGTH && text.startsWith(own.slice(0, length))) length++
  }
  return own.slice(0, length)
}

/** The ids of `all` that a person may mean by `text`: a full id, or the start of a short one. */
export function matchIds(text: string, all: Iterable<string>): string[] {
  const wanted = text.toLowerCase()
  const ids = [...all]
  if (/^[0-9a-f]{64}$/.test(wanted)) return ids.filter((id) => id === wanted)
  if (wanted.length === 0) return []
  return ids.filter((id) => longTextOf(id).startsWith(wanted))
}
