import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type Envelope, publicKeyOfPeer, type Signer, sealEnvelope, signersOf } from '../identity/index.ts'
import { rolloutErrors } from './errors.ts'

/** Payload type of a rollout document in its DSSE envelope. */
export const DOCUMENT_TYPE = 'application/vnd.warren.rollout.v1+json'
/** Longest payload. 1,000 node ids of 52 characters are 56 KB; the rest is room for later fields. */
export const MAX_DOCUMENT_BYTES = 256 * 1024
/** Most nodes in one document: ten times the network size that Warren is made for (SPEC "Numbers"). */
export const MAX_TARGETS = 1000
/** Longest deadline, retry delay or trial: a day, so that sums of them stay far from the limits of timers. */
const MAX_DURATION_MS = 24 * 3_600_000
/** Generations go up by one to three a rollout; a document that jumps beyond this is an attack or a bug. */
const MAX_GENERATION = 1_000_000_000

/** A package as a rollout names it. */
export interface PackageRef {
  readonly name: string
  readonly version: string
  /** SHA-256 of the package record, 64 hex digits. */
  readonly digest: string
}

/** What is to run where, in which order, and when to stop: the whole of a rollout, written once by its author. */
export interface RolloutDocument {
  /** Id of the network it is for; a document of another network is refused. */
  readonly network: string
  /** The instance name on every target. */
  readonly app: string
  readonly package: PackageRef
  /** Node ids; wave k waits for the waves before it. Every node stands in one wave only. */
  readonly waves: readonly (readonly string[])[]
  /** The app's generation that the author knew. This document makes `base + 1`. */
  readonly base: number
  /** Nodes of all earlier waves together that may be without good evidence when a wave starts. */
  readonly maxUnavailable: number
  /** Known failures that stop the rollout; from 1. */
  readonly failureBudget: number
  readonly minHealthyMs: number
  readonly progressDeadlineMs: number
  /** False: nodes that are done keep the version when others fail. */
  readonly rollback: boolean
  /** Tries of a transfer, after the first, within a node's turn. */
  readonly retries: number
  readonly retryDelayMs: number
  /** Nodes besides the author that hold the package. */
  readonly sources: readonly string[]
  /** Nodes whose roster is stale install the package all the same. */
  readonly acceptStale: boolean
  /** Node id of the signer. */
  readonly author: string
  readonly nonce: string
  readonly createdMs: number
  /** No node starts its turn after this time. */
  readonly notAfterMs: number
}

const nodeId = z.string().min(40).max(64)
const durationMs = z.int().min(0).max(MAX_DURATION_MS)
const time = z.iso.datetime().transform((text) => Date.parse(text))

/** How an instance may be named, as packages are: it becomes a folder and part of a URL. */
export const APP_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

const payloadSchema = z.object({
  format: z.literal(1),
  network: z.string().min(1).max(128),
  app: z.string().regex(APP_NAME),
  package: z.object({
    name: z.string().min(1).max(128),
    version: z.string().min(1).max(128),
    digest: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  waves: z.array(z.array(nodeId).min(1).max(MAX_TARGETS)).min(1).max(MAX_TARGETS),
  base: z.int().min(0).max(MAX_GENERATION),
  max_unavailable: z.int().min(0).max(MAX_TARGETS),
  failure_budget: z.int().min(1).max(MAX_TARGETS),
  min_healthy_ms: durationMs,
  progress_deadline_ms: durationMs.min(1000),
  rollback: z.boolean(),
  retries: z.int().min(0).max(100),
  retry_delay_ms: durationMs,
  sources: z.array(nodeId).max(16),
  accept_stale: z.boolean().default(false),
  author: nodeId,
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  created: time,
  not_after: time,
})

/** A document as it was received: its id, its meaning, and the bytes that were signed. */
export interface SignedDocument {
  /** SHA-256 of the payload bytes, 64 hex digits. */
  readonly id: string
  readonly document: RolloutDocument
  readonly envelope: Envelope
}

/** The payload bytes of a document. Later formats may add fields; ids stay, since payload bytes are kept as received. */
export function encodeDocument(document: RolloutDocument): Buffer {
  return Buffer.from(
    JSON.stringify({
      format: 1,
      network: document.network,
      app: document.app,
      package: { name: document.package.name, version: document.package.version, digest: document.package.digest },
      waves: document.waves,
      base: document.base,
      max_unavailable: document.maxUnavailable,
      failure_budget: document.failureBudget,
      min_healthy_ms: document.minHealthyMs,
      progress_deadline_ms: document.progressDeadlineMs,
      rollback: document.rollback,
      retries: document.retries,
      retry_delay_ms: document.retryDelayMs,
      sources: document.sources,
      accept_stale: document.acceptStale,
      author: document.author,
      nonce: document.nonce,
      created: new Date(document.createdMs).toISOString(),
      not_after: new Date(document.notAfterMs).toISOString(),
    }),
  )
}

/** Reads payload bytes from anywhere. Fails with `rollout_invalid` naming the first thing that is wrong. */
export function decodeDocument(payload: Uint8Array): RolloutDocument {
  const fields = parsePayload(payloadSchema, payload, { what: 'rollout document', maxBytes: MAX_DOCUMENT_BYTES })
  const targets = fields.waves.flat()
  if (targets.length > MAX_TARGETS)
    throw rolloutErrors.rollout_invalid(`rollout document names ${targets.length} nodes`)
  if (new Set(targets).size !== targets.length) {
    throw rolloutErrors.rollout_invalid('rollout document names a node twice')
  }
  for (const id of [...targets, ...fields.sources, fields.author]) {
    if (publicKeyOfPeer(id) === undefined) throw rolloutErrors.rollout_invalid(`"${id}" is not a node id`)
  }
  if (fields.not_after <= fields.created) {
    throw rolloutErrors.rollout_invalid('rollout document ends before it begins')
  }
  return {
    network: fields.network,
    app: fields.app,
    package: fields.package,
    waves: fields.waves,
    base: fields.base,
    maxUnavailable: fields.max_unavailable,
    failureBudget: fields.failure_budget,
    minHealthyMs: fields.min_healthy_ms,
    progressDeadlineMs: fields.progress_deadline_ms,
    rollback: fields.rollback,
    retries: fields.retries,
    retryDelayMs: fields.retry_delay_ms,
    sources: fields.sources,
    acceptStale: fields.accept_stale,
    author: fields.author,
    nonce: fields.nonce,
    createdMs: fields.created,
    notAfterMs: fields.not_after,
  }
}

/** Signs a document with the author's node key. The signer must be the key of `document.author`. */
export function signDocument(document: Omit<RolloutDocument, 'nonce'>, signer: Signer): SignedDocument {
  const whole = { ...document, nonce: randomBytes(16).toString('hex') }
  const payload = encodeDocument(whole)
  const envelope = sealEnvelope({ payloadType: DOCUMENT_TYPE, payload, signers: [signer] })
  return readDocument(envelope)
}

/** Checks an envelope: size, type, form, and that the author's own node key signed it. Fails with `rollout_invalid`. */
export function readDocument(envelope: Envelope): SignedDocument {
  if (envelope.payloadType !== DOCUMENT_TYPE) {
    throw rolloutErrors.rollout_invalid(`"${envelope.payloadType}" is not a rollout document`)
  }
  const document = decodeDocument(envelope.payload)
  requireSignature(envelope, document.author, 'rollout document')
  return { id: sha256Hex(envelope.payload), document, envelope }
}

/** The wave of a node, from 0; -1 where the document does not name it. */
export function waveOf(document: RolloutDocument, node: string): number {
  return document.waves.findIndex((wave) => wave.includes(node))
}

/** Shared by all payloads of this folder: size first, then JSON, then the schema. */
export function parsePayload<S extends z.ZodType>(
  schema: S,
  payload: Uint8Array,
  { what, maxBytes }: { what: string; maxBytes: number },
): z.output<S> {
  if (payload.length > maxBytes) throw rolloutErrors.rollout_invalid(`${what} of ${payload.length} bytes is too long`)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch (cause) {
    throw rolloutErrors.rollout_invalid(`${what} is not JSON`, { cause })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw rolloutErrors.rollout_invalid(`${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`)
}

/** Fails with `rollout_invalid` unless the node key of `node` signed the envelope. */
export function requireSignature(envelope: Envelope, node: string, what: string): void {
  const publicKey = publicKeyOfPeer(node)
  if (publicKey === undefined || signersOf(envelope, [publicKey]).length === 0) {
    throw rolloutErrors.rollout_invalid(`${what} is not signed by ${node}, which it names`)
  }
}

/** SHA-256 as 64 hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
