import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  publicKeyOfPeer,
  type Signer,
  sealEnvelope,
  signersOf,
} from '../identity/index.ts'
import { auditErrors } from './errors.ts'
import type { ChainEnd } from './log-files.ts'

const HEAD_TYPE = 'application/vnd.warren.audit-head.v1+json'
/** A head is some 500 bytes; later releases may add to it. */
export const MAX_HEAD_BYTES = 4096

/** What a node signs of its log: that entry `seq` has this hash, and with it that all before are as they are. */
export interface SignedAuditHead extends ChainEnd {
  readonly node: string
  /** When it was signed, by the node's own clock. */
  readonly timeMs: number
  readonly envelope: Envelope
}

/** A head of a log, signed by its node. */
export function signHead(head: ChainEnd & { node: string; timeMs: number }, signer: Signer): SignedAuditHead {
  const { node, seq, hash, timeMs } = head
  const payload = Buffer.from(JSON.stringify({ node, seq, hash, time: timeMs }))
  return { node, seq, hash, timeMs, envelope: sealEnvelope({ payloadType: HEAD_TYPE, payload, signers: [signer] }) }
}

/** The JSON form of a head, as it is kept and sent. */
export function encodeHead({ envelope }: SignedAuditHead): unknown {
  return JSON.parse(encodeEnvelope(envelope).toString('utf8'))
}

/**
 * A head from anywhere, in its JSON form. Fails with `audit_head_invalid` where it is malformed or not signed by the node
 * that it names, and where that is not `node`.
 */
export function decodeHead(value: unknown, node?: string): SignedAuditHead {
  const head = parseHead(value)
  const key = publicKeyOfPeer(head.node)
  if (key === undefined || signersOf(head.envelope, [key]).length === 0) {
    throw auditErrors.audit_head_invalid(`a head of the audit log of ${head.node.slice(0, 60)} is not signed by it`)
  }
  if (node !== undefined && head.node !== node) {
    throw auditErrors.audit_head_invalid(`a head of the audit log of ${head.node}, where one of ${node} was expected`)
  }
  return head
}

/** As `decodeHead`, for a head whose signature was verified when it came, and will be by whoever is given it. */
export function parseHead(value: unknown): SignedAuditHead {
  try {
    const bytes = Buffer.from(JSON.stringify(value) ?? '')
    const envelope = decodeEnvelope(bytes, { payloadType: HEAD_TYPE, maxBytes: MAX_HEAD_BYTES })
    return { ...parsePayload(envelope.payload), envelope }
  } catch (error) {
    throw auditErrors.audit_head_invalid(`a head of an audit log cannot be read: ${(error as Error).message}`)
  }
}

function parsePayload(payload: Uint8Array): Omit<SignedAuditHead, 'envelope'> {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  const { node, seq, hash, time } = (value ?? {}) as Record<string, unknown>
  const isWhole = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0
  if (typeof node !== 'string' || !isWhole(seq) || seq === 0 || !isWhole(time)) throw new Error('its fields are wrong')
  if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) throw new Error('its hash is no hash')
  return { node, seq, hash, timeMs: time }
}
