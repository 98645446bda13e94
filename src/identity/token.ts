import { fromHex, toHex } from '../base/bytes.ts'
import { type CodeAdmin, CodeReader, decodeCodeText, encodeAdmins, encodeCodeText } from './code-text.ts'
import { KEY_BYTES } from './ed25519.ts'
import { identityErrors } from './errors.ts'

const PREFIX = 'WRT'
const VERSION = 1
const NETWORK_ID_BYTES = 32

/** An identity of its own for a job that deploys: which network, its node key, and whom to ask. */
export interface DeployToken {
  readonly networkId: string
  /** Seed of the token's node key, 32 bytes. */
  readonly seed: Uint8Array
  readonly admins: readonly CodeAdmin[]
}

/** `WRT-…`, for the variable WARREN_TOKEN. Of the admins the first three, with four addresses each. */
export function encodeToken({ networkId, seed, admins }: DeployToken): string {
  const network = fromHex(networkId)
  if (network?.length !== NETWORK_ID_BYTES || seed.length !== KEY_BYTES) throw invalid('a part of it is missing')
  return encodeCodeText(PREFIX, Buffer.concat([Buffer.of(VERSION), network, seed, encodeAdmins(admins)]))
}

/** Reads a token as `decodeJoinCode` reads a code. Fails with `token_invalid`, never quoting it. */
export function decodeToken(text: string): DeployToken {
  const reader = new CodeReader(decodeCodeText(PREFIX, text, invalid), invalid)
  if (reader.byte() !== VERSION) throw invalid('it is of a newer release of Warren')
  const networkId = toHex(reader.bytes(NETWORK_ID_BYTES))
  const seed = new Uint8Array(reader.bytes(KEY_BYTES))
  const admins = reader.admins()
  reader.end()
  return { networkId, seed, admins }
}

function invalid(what: string): Error {
  return identityErrors.token_invalid(`the deploy token is not valid: ${what}`, {
    hint: 'Set WARREN_TOKEN to the whole token, from WRT- to its end, or have an admin make a new one.',
  })
}
