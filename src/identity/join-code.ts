import { hkdfSync, randomBytes } from 'node:crypto'
import { fromHex, toHex } from '../base/bytes.ts'
import { type CodeNodes, CodeReader, decodeCodeText, encodeCodeText, encodeNodes } from './code-text.ts'
import { isSignedBy, KEY_BYTES, type Signer, signerFromSeed } from './ed25519.ts'
import { decodeEnvelope } from './envelope.ts'
import { identityErrors } from './errors.ts'
import { MAX_STATEMENT_ENVELOPE_BYTES, ROSTER_PAYLOAD_TYPE } from './roster/constants.ts'
import { type Genesis, openGenesis } from './roster/genesis.ts'

const PREFIX = 'WRN'
const NETWORK_ID_BYTES = 32
/** 128 bits: nobody guesses it, and every wrong guess costs a connection. */
const SECRET_BYTES = 16

/** What an invitation hands over: which network, the secret, and whom to ask. Never the network key. */
export interface JoinCode extends CodeNodes {
  readonly networkId: string
  /** 16 bytes; who has them may join. */
  readonly secret: Uint8Array
}

/** A fresh secret of an invite. */
export function createJoinSecret(): Uint8Array {
  return new Uint8Array(randomBytes(SECRET_BYTES))
}

/** The invite's key, whose public part stands in the roster. */
export function inviteSignerOf(secret: Uint8Array): Signer {
  return signerFromSeed(new Uint8Array(hkdfSync('sha256', secret, '', 'warren invite key v1', KEY_BYTES)))
}

/** The signature by which somebody shows that they hold an invite's secret, over the transcript of one channel. */
export function signJoin(secret: Uint8Array, transcript: Uint8Array): Uint8Array {
  return inviteSignerOf(secret).sign(joinMessage(transcript))
}

/** True where `signature` is `signJoin`'s for this transcript, by the invite with this public key. */
export function isJoinSigned(publicKey: Uint8Array, transcript: Uint8Array, signature: Uint8Array): boolean {
  return isSignedBy(publicKey, joinMessage(transcript), signature)
}

/** The signature by which somebody shows the same to a relay, that is to let it through to this admin. */
export function signPassage(secret: Uint8Array, transcript: Uint8Array, admin: string): Uint8Array {
  return inviteSignerOf(secret).sign(passageMessage(transcript, admin))
}

/** True where `signature` is `signPassage`'s for this transcript and admin, by the invite with this public key. */
export function isPassageSigned(
  publicKey: Uint8Array,
  { transcript, admin, signature }: { transcript: Uint8Array; admin: string; signature: Uint8Array },
): boolean {
  return isSignedBy(publicKey, passageMessage(transcript, admin), signature)
}

/** The genesis that a network's member hands over. Fails with `envelope_invalid`, `statement_invalid` or `wrong_network`. */
export function readGenesis(bytes: Uint8Array, networkId: string): Genesis {
  const limits = { payloadType: ROSTER_PAYLOAD_TYPE, maxBytes: MAX_STATEMENT_ENVELOPE_BYTES }
  const genesis = openGenesis(decodeEnvelope(bytes, limits))
  if (genesis.networkId === networkId) return genesis
  throw identityErrors.wrong_network(`it is the genesis of network ${genesis.networkId}, not of ${networkId}`, {
    hint: 'Ask for a new code of the network that you want to join.',
  })
}

/** `WRN-…`, letters and digits, for a shell, a chat or a QR code. Of the admins the first three, with four addresses each; of the relays two, with two. */
export function encodeJoinCode({ networkId, secret, ...nodes }: JoinCode): string {
  const network = fromHex(networkId)
  if (network?.length !== NETWORK_ID_BYTES || secret.length !== SECRET_BYTES) throw invalid('a part of it is missing')
  const { version, bytes } = encodeNodes(nodes)
  return encodeCodeText(PREFIX, Buffer.concat([Buffer.of(version), network, secret, bytes]))
}

/**
 * Reads a join code as it was pasted or typed; spaces, line ends, hyphens and case do not matter. Fails with
 * `join_code_invalid`, which says what is wrong and never quotes the code.
 */
export function decodeJoinCode(text: string): JoinCode {
  const reader = new CodeReader(decodeCodeText(PREFIX, text, invalid), invalid)
  const version = reader.version()
  const networkId = toHex(reader.bytes(NETWORK_ID_BYTES))
  const secret = new Uint8Array(reader.bytes(SECRET_BYTES))
  const nodes = reader.nodes(version)
  reader.end()
  return { networkId, secret, ...nodes }
}

function joinMessage(transcript: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('warren join v1'), transcript])
}

function passageMessage(transcript: Uint8Array, admin: string): Buffer {
  return Buffer.concat([Buffer.from('warren passage v1'), transcript, Buffer.from(admin)])
}

function invalid(what: string): Error {
  return identityErrors.join_code_invalid(`the join code is not valid: ${what}`, {
    hint: 'Copy the whole code, from WRN- to its end. An admin makes a new one: warren invite',
  })
}
