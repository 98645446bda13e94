import { z } from 'zod'
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  publicKeyOfPeer,
  type Signer,
  sealEnvelope,
  signersOf,
} from '../../identity/index.ts'
import { netErrors } from '../errors.ts'
import { endpointOf } from './address-words.ts'
import { MAX_ADDRESS_LENGTH, MAX_RECORD_ADDRESSES, MAX_RECORD_BYTES, MAX_RECORD_RELAYS } from './limits.ts'

const PAYLOAD_TYPE = 'application/vnd.warren.addresses.v1+json'

/** What a node says about where it is. */
export interface AddressRecord {
  /** Peer id of the node whose addresses these are. */
  readonly id: string
  /** Higher is newer; begins with the milliseconds since 1970. */
  readonly sequence: number
  /** Multiaddrs without a peer id. */
  readonly addresses: readonly string[]
  /** Ids of the relays that hold a reservation of it. */
  readonly relays: readonly string[]
  readonly reachability: 'public' | 'private' | 'unknown'
  /** It serves as a relay for members. */
  readonly serves: boolean
}

/** A record with the bytes that prove it. */
export interface SignedRecord {
  readonly record: AddressRecord
  /** The envelope, as it was read or made. */
  readonly bytes: Uint8Array
}

const peerId = z.string().regex(/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/)
const shape = z.strictObject({
  format: z.literal(1),
  id: peerId,
  sequence: z.int().min(1),
  addresses: z
    .array(
      z
        .string()
        .max(MAX_ADDRESS_LENGTH)
        .refine((text) => endpointOf(text) !== undefined && !text.includes('/p2p/')),
    )
    .max(MAX_RECORD_ADDRESSES),
  relays: z.array(peerId).max(MAX_RECORD_RELAYS),
  reachability: z.enum(['public', 'private', 'unknown']),
  serves: z.boolean(),
})

/** A record signed by the node's own key; addresses and relays over the limits are left out. */
export function signRecord(record: AddressRecord, signer: Signer): SignedRecord {
  const kept = {
    ...record,
    addresses: record.addresses.slice(0, MAX_RECORD_ADDRESSES),
    relays: record.relays.slice(0, MAX_RECORD_RELAYS),
  }
  const payload = Buffer.from(JSON.stringify({ format: 1, ...kept }))
  const bytes = encodeEnvelope(sealEnvelope({ payloadType: PAYLOAD_TYPE, payload, signers: [signer] }))
  // Names can be long: fewer of them, then, rather than a record that nobody takes.
  if (bytes.length > MAX_RECORD_BYTES) return signRecord({ ...kept, addresses: kept.addresses.slice(0, -1) }, signer)
  return { record: kept, bytes }
}

/** Reads a record from anywhere and checks its signature. Fails with `address_record_invalid`. */
export function readRecord(bytes: Uint8Array): SignedRecord {
  let record: AddressRecord
  let envelope: Envelope
  let signed: boolean
  try {
    envelope = decodeEnvelope(bytes, { payloadType: PAYLOAD_TYPE, maxBytes: MAX_RECORD_BYTES })
    const { format: _, ...parsed } = shape.parse(JSON.parse(Buffer.from(envelope.payload).toString('utf8')))
    record = parsed
    const publicKey = publicKeyOfPeer(record.id)
    signed = publicKey !== undefined && signersOf(envelope, [publicKey]).length === 1
  } catch (cause) {
    throw netErrors.address_record_invalid('a record of addresses is not of its form', { cause })
  }
  if (!signed) throw netErrors.address_record_invalid(`the addresses of ${record.id} are not signed by that node`)
  // As this program writes it: on one line, and nothing between that nobody has looked at.
  return { record, bytes: encodeEnvelope(envelope) }
}
