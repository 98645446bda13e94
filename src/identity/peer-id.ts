import { decodeBase58, encodeBase58 } from './base58.ts'

/** Identity multihash (0x00, 36 bytes) of the protobuf `{ type: Ed25519, data: 32 bytes }` (libp2p peer id spec). */
const PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const KEY_BYTES = 32
/** An Ed25519 peer id has 52 letters; anything longer is not looked at. */
const PEER_ID_LETTERS = 52

/** The libp2p peer id (`12D3Koo…`) of a raw Ed25519 public key of 32 bytes. */
export function peerIdOf(publicKey: Uint8Array): string {
  return encodeBase58(Buffer.concat([PREFIX, publicKey]))
}

/** The raw public key inside an Ed25519 peer id; undefined where the text is anything else. */
export function publicKeyOfPeer(peerId: string): Uint8Array | undefined {
  if (peerId.length !== PEER_ID_LETTERS) return undefined
  const bytes = decodeBase58(peerId)
  if (bytes?.length !== PREFIX.length + KEY_BYTES) return undefined
  if (PREFIX.some((byte, index) => bytes[index] !== byte)) return undefined
  return bytes.slice(PREFIX.length)
}
