import { fromHex, toHex } from '../base/bytes.ts'
import { type CodeNodes, CodeReader, decodeCodeText, encodeCodeText, encodeNodes } from './code-text.ts'
import { KEY_BYTES } from './ed25519.ts'
import { identityErrors } from './errors.ts'

const PREFIX = 'WRT'
const NETWORK_ID_BYTES = 32

/** An identity of its own for a job that deploys: which network, its node key, and whom to ask. */
export interface DeployToken extends CodeNodes {
  readonly networkId: string
  /** Seed of the token's node key, 32 bytes. */
  readonly seed: Uint8Array
}

/** `WRT-…`, for the variable WARREN_TOKEN. Of the admins the first three, with four addresses each; of the relays two, with two. */
export function encodeToken({ networkId, seed, ...nodes }: DeployToken): string {
  const network = fromHex(networkId)
  if (network?.length !== NETWORK_ID_BYTES || seed.length !== KEY_BYTES) throw invalid('a part of it is missing')
  const { version, bytes } = encodeNodes(nodes)
  return encodeCodeText(PREFIX, Buffer.concat([Buffer.of(version), network, seed, bytes]))
}

/** Reads a token as `decodeJoinCode` reads a code. Fails with `token_invalid`, never quoting it. */
export function decodeToken(text: string): DeployToken {
  const reader = new CodeReader(decodeCodeText(PREFIX, text, invalid), invalid)
  const version = reader.version()
  const networkId = toHex(reader.bytes(NETWORK_ID_BYTES))
  const seed = new Uint8Array(reader.bytes(KEY_BYTES))
  const nodes = reader.nodes(version)
  reader.end()
  return { networkId, seed, ...nodes }
}

function invalid(what: string): Error {
  return identityErrors.token_invalid(`the deploy token is not valid: ${what}`, {
    hint: 'Set WARREN_TOKEN to the whole token, from WRT- to its end, or have an admin make a new one.',
  })
}
