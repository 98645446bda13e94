import { z } from 'zod'
import { ROLES } from '../api/index.ts'
import { baseErrors } from '../base/errors.ts'
import { publicKeyOfPeer } from '../identity/index.ts'

/** Bytes of an authority key and of a signature. */
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** What is announced, and those before it that have not been forgotten. */
const MAX_NETWORK_KEYS = 8

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const bytes = (length: number) =>
  z.string().transform((text, context) => {
    const decoded = Buffer.from(text, 'base64')
    if (decoded.length === length && decoded.toString('base64') === text) return new Uint8Array(decoded)
    context.issues.push({ code: 'custom', message: `must be the base64 of ${length} bytes`, input: text })
    return z.NEVER
  })
/** As DNS has it; the roster takes no other. */
const nodeName = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)

const request = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('join'),
    /** Key id of the invite. */
    invite: hash,
    name: nodeName.optional(),
    /** The joiner's authority key, for an invite of role admin. */
    authority: bytes(KEY_BYTES),
    signature: bytes(SIGNATURE_BYTES),
  }),
  z.object({ type: z.literal('renew') }),
])
const passage = z.object({
  type: z.literal('passage'),
  /** Id of the admin to be let through to. */
  to: z
    .string()
    .max(128)
    .refine((text) => publicKeyOfPeer(text) !== undefined, 'must be a peer id'),
  invite: hash,
  signature: bytes(SIGNATURE_BYTES),
})
const refusal = z.object({ refused: z.string().max(64) })
const admitted = z.object({
  network: hash,
  /** The envelope of the genesis. */
  genesis: z.base64().max(64 * 1024),
  /** Newest first. */
  network_keys: z.array(hash).min(1).max(MAX_NETWORK_KEYS),
})
const joined = admitted.extend({ name: nodeName, role: z.enum(ROLES) })

/** What is asked. */
type AdmissionQuestion = z.output<typeof request>
/** Who wants to be let through to an admin, as it was parsed. */
type PassageQuestion = z.output<typeof passage>
/** Who wants to join, as it was parsed. */
export type JoinQuestion = Extract<AdmissionQuestion, { type: 'join' }>
/** What a member that comes back gets. */
export type Admitted = z.output<typeof admitted>
/** What a new node gets. */
export type Joined = z.output<typeof joined>
/** Why somebody who has the secret is not admitted. */
export type AdmissionRefusal =
  | 'invite_expired'
  | 'invite_used'
  | 'invite_closed'
  | 'node_removed'
  | 'no_admin'
  | 'not_current'

/** Reads a request, which the network has bounded. Fails with `invalid_value`, never quoting it. */
export function parseQuestion(message: Uint8Array): AdmissionQuestion {
  return parse(request, message, 'the request for admission')
}

/** A request to join as it is sent. */
export function encodeJoinQuestion({
  invite,
  name,
  authority,
  signature,
}: {
  invite: string
  name: string | undefined
  authority: Uint8Array
  signature: Uint8Array
}): Buffer {
  return encode({ type: 'join', invite, name, authority: toBase64(authority), signature: toBase64(signature) })
}

/** A request to a relay as it is sent. */
export function encodePassageQuestion({
  signature,
  ...rest
}: {
  to: string
  invite: string
  signature: Uint8Array
}): Buffer {
  return encode({ type: 'passage', ...rest, signature: toBase64(signature) })
}

/** Reads a request to a relay, as `parseQuestion`. */
export function parsePassageQuestion(message: Uint8Array): PassageQuestion {
  return parse(passage, message, 'the request for a passage')
}

/** A request of a member that was away. */
export function encodeRenewQuestion(): Buffer {
  return encode({ type: 'renew' })
}

/** An answer as it is sent. */
export function encodeAnswer(answer: Joined | Admitted | { readonly refused: AdmissionRefusal }): Buffer {
  return encode(answer)
}

/** Reads an answer to a request to join. Fails with `invalid_value`, never quoting it. */
export function parseJoined(answer: Uint8Array): Joined | { refused: string } {
  return parse(z.union([refusal, joined]), answer, 'the answer to the request to join')
}

/** Reads an answer to a request of a member. Fails with `invalid_value`, never quoting it. */
export function parseAdmitted(answer: Uint8Array): Admitted | { refused: string } {
  return parse(z.union([refusal, admitted]), answer, 'the answer to the request for renewal')
}

function toBase64(value: Uint8Array): string {
  return Buffer.from(value).toString('base64')
}

function encode(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** An answer holds network keys, so that no error may say what it was read from. */
function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch {
    throw baseErrors.invalid_value(`${what} is not understood`)
  }
}
