import { createCipheriv, createDecipheriv, createHash, randomBytes, type ScryptOptions, scrypt } from 'node:crypto'
import { z } from 'zod'
import { KEY_BYTES, keyIdOf, signerFromSeed } from './ed25519.ts'
import { identityErrors } from './errors.ts'

/** First line of the file; another version gets another line. */
const TITLE = 'warren protected key 1'
const CIPHER = 'chacha20-poly1305'
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** What scrypt (RFC 7914) takes: 128 MiB, and about half a second. */
const DEFAULT_COST: ScryptCost = { n: 2 ** 17, r: 8, p: 1 }
/** A file may ask for twice the memory that Warren's own do, no more: it comes from outside. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024
/** And for four times the work. */
const MAX_WORK = 4 * DEFAULT_COST.n * DEFAULT_COST.r * DEFAULT_COST.p
/** Shorter ones are found by trying, whatever each try costs. */
const MIN_PASSPHRASE = 8
const MAX_PASSPHRASE = 1024

/** What finding the key of one passphrase costs. */
export interface ScryptCost {
  /** A power of two. */
  readonly n: number
  readonly r: number
  readonly p: number
}

/** A private key that only a passphrase opens. */
export interface ProtectedKey {
  readonly publicKey: Uint8Array
  readonly keyId: string
  /** The seed of 32 bytes. Fails with `passphrase_wrong`. Takes 128 MiB and about half a second, off the event loop. */
  open(passphrase: string): Promise<Uint8Array>
}

const base64 = (bytes: number) =>
  z.string().transform((text, context) => {
    const value = Buffer.from(text, 'base64')
    if (value.length === bytes && value.toString('base64') === text) return value
    context.issues.push({ code: 'custom', message: `must be the base64 of ${bytes} bytes`, input: text })
    return z.NEVER
  })
const fileSchema = z
  .strictObject({
    public: base64(KEY_BYTES),
    kdf: z.literal('scrypt'),
    n: z.int().min(2),
    r: z.int().min(1),
    p: z.int().min(1),
    salt: base64(SALT_BYTES),
    cipher: z.literal(CIPHER),
    nonce: base64(NONCE_BYTES),
    box: base64(KEY_BYTES + TAG_BYTES),
  })
  // RFC 7914: a power of two below 2^(128 * r / 8).
  .refine(({ n, r }) => Number.isInteger(Math.log2(n)) && Math.log2(n) < 16 * r)
  .refine(({ n, r, p }) => 128 * r * (n + p) <= MAX_MEMORY_BYTES && n * r * p <= MAX_WORK)
type KeyFields = z.output<typeof fileSchema>

/** True where a file's bytes say that they are a protected key. */
export function isProtectedKey(bytes: Uint8Array): boolean {
  return Buffer.from(bytes).toString('latin1').startsWith('warren protected key')
}

/** Fails with `passphrase_invalid` where it is too short or too long to protect a key. */
export function checkPassphrase(passphrase: string): void {
  const { length } = passphrase
  if (length >= MIN_PASSPHRASE && length <= MAX_PASSPHRASE) return
  throw identityErrors.passphrase_invalid(`the passphrase has ${length} characters`, {
    hint: `Use ${MIN_PASSPHRASE} to ${MAX_PASSPHRASE}; a few random words are a good one.`,
  })
}

/**
 * The text of a key file that only this passphrase opens: a title, the parameters with public key and encrypted seed as
 * JSON, and a SHA-256 of both lines, by which damage is told from a wrong passphrase. Fails with `passphrase_invalid`.
 */
export async function sealKey(
  seed: Uint8Array,
  { passphrase, cost = DEFAULT_COST }: { passphrase: string; cost?: ScryptCost },
): Promise<string> {
  checkPassphrase(passphrase)
  const fields = {
    ...cost,
    public: Buffer.from(signerFromSeed(seed).publicKey),
    salt: randomBytes(SALT_BYTES),
    nonce: randomBytes(NONCE_BYTES),
  }
  const cipher = createCipheriv(CIPHER, await stretch(passphrase, fields), fields.nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(aadOf(fields), { plaintextLength: seed.length })
  const box = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()])
  const lines = `${TITLE}\n${JSON.stringify({ ...clearPart(fields), box: box.toString('base64') })}\n`
  return `${lines}sha256 ${checksumOf(lines)}\n`
}

/** Parses a protected key's file; `path` is for messages. Fails with `key_invalid` before anything costly is done. */
export function parseProtectedKey(bytes: Uint8Array, path: string): ProtectedKey {
  const text = Buffer.from(bytes).toString('latin1')
  const [, lines, title, json, checksum] = /^(([^\n]+)\n(\{[^\n]*\})\n)sha256 ([0-9a-f]{64})\n?$/.exec(text) ?? []
  if (lines === undefined || json === undefined || title !== TITLE || checksum !== checksumOf(lines)) {
    throw invalid(path, 'its checksum does not fit: it is damaged or shortened')
  }
  const fields = parseFields(json)
  if (fields === undefined) throw invalid(path, 'its parameters are not those of a protected key, or ask for too much')
  const publicKey = new Uint8Array(fields.public)
  const keyId = keyIdOf(publicKey)
  return {
    publicKey,
    keyId,
    open: async (passphrase) => {
      const seed = await decrypt(fields, { passphrase, path })
      if (signerFromSeed(seed).keyId !== keyId) throw invalid(path, 'the key in it is not the one that it names')
      return seed
    },
  }
}

function parseFields(json: string): KeyFields | undefined {
  try {
    return fileSchema.safeParse(JSON.parse(json)).data
  } catch {
    return undefined
  }
}

async function decrypt(
  fields: KeyFields,
  { passphrase, path }: { passphrase: string; path: string },
): Promise<Uint8Array> {
  const key = await stretch(passphrase, fields)
  const decipher = createDecipheriv(CIPHER, key, fields.nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(aadOf(fields), { plaintextLength: KEY_BYTES })
  decipher.setAuthTag(fields.box.subarray(KEY_BYTES))
  const seed = decipher.update(fields.box.subarray(0, KEY_BYTES))
  try {
    decipher.final()
  } catch {
    throw identityErrors.passphrase_wrong(`the passphrase does not open ${path}`, {
      hint: 'Type it again; without it there is no way to the key.',
    })
  }
  return new Uint8Array(seed)
}

/** Runs on another thread; the passphrase in its composed form, so that every keyboard gives the same bytes. */
function stretch(passphrase: string, { n, r, p, salt }: ScryptCost & { readonly salt: Buffer }): Promise<Buffer> {
  const options: ScryptOptions = { N: n, r, p, maxmem: 2 * MAX_MEMORY_BYTES }
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  scrypt(passphrase.normalize('NFKC'), salt, KEY_BYTES, options, (error, key) => {
    if (error === null) resolve(key)
    else reject(error)
  })
  return promise
}

type ClearFields = Omit<KeyFields, 'box' | 'kdf' | 'cipher'>

/** All of the file but the box, in the order in which it is written. */
function clearPart({ public: publicKey, n, r, p, salt, nonce }: ClearFields) {
  const text = (bytes: Buffer): string => bytes.toString('base64')
  return { public: text(publicKey), kdf: 'scrypt', n, r, p, salt: text(salt), cipher: CIPHER, nonce: text(nonce) }
}

function aadOf(fields: ClearFields): Buffer {
  return Buffer.from(`${TITLE}\n${JSON.stringify(clearPart(fields))}`)
}

function checksumOf(lines: string): string {
  return createHash('sha256').update(lines, 'latin1').digest('hex')
}

function invalid(path: string, what: string): Error {
  return identityErrors.key_invalid(`${path}: ${what}`, {
    hint: 'Restore the file from a backup; a key cannot be made a second time.',
  })
}
