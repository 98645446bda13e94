import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import { WarrenError } from '../../base/errors.ts'
import { readFileBounded, writeFileAtomic } from '../../base/files.ts'
import type { Logger } from '../../base/log.ts'
import { SerialQueue } from '../../base/wait.ts'
import type { Signer } from '../ed25519.ts'
import { decodeEnvelope, type Envelope, encodeEnvelope, sealEnvelope, signersOf } from '../envelope.ts'
import { identityErrors } from '../errors.ts'
import { MAX_TIME_MS } from './constants.ts'
import type { Head } from './evaluate.ts'
import type { Rejected } from './intake.ts'
import type { RosterState } from './state.ts'
import { Refusal } from './statement.ts'

/** DSSE payload type of a signed head. */
export const HEAD_PAYLOAD_TYPE = 'application/vnd.warren.roster-head.v1+json'
/** Name of the file in the roster's folder. */
const HEADS_FILE = 'heads'
/** Authors that a network has over its life: more than there are admins at a time. */
const MAX_HEADS = 256
/** That many heads of 160 bytes, and the rest. */
const MAX_HEAD_BYTES = 44 * 1024
/** The payload in base64, with its signature. */
const MAX_HEAD_ENVELOPE_BYTES = 64 * 1024
/** One of each admin there may be. */
const MAX_HEADS_FILE_BYTES = 64 * (MAX_HEAD_ENVELOPE_BYTES + 1)

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const author = z.string().min(1).max(128)
const payloadSchema = z.object({
  network: hash,
  author,
  time: z.int().nonnegative().max(MAX_TIME_MS),
  digest: hash,
  heads: z.array(z.object({ author, seq: z.int().nonnegative(), hash })).max(MAX_HEADS),
})

/** An admin's sign of life: what it knew, and when by its clock. */
export interface SignedHead {
  readonly author: string
  /** Milliseconds since 1970 by the author's clock. */
  readonly timeMs: number
  readonly digest: string
  readonly heads: readonly Head[]
  readonly envelope: Envelope
}

/** What the signed heads need to know of their roster. */
export interface SignedHeadsContext {
  readonly networkId: string
  readonly folder: string
  readonly clock: Clock
  readonly log: Logger
  state(): RosterState
  digest(): string
  heads(): readonly Head[]
  /** Of these the ones that are not here, and should be. */
  missing(heads: readonly Head[]): readonly Head[]
}

/** The newest signed head of each admin, kept in the roster's folder. Whoever is no admin has none. */
export class SignedHeads {
  readonly #context: SignedHeadsContext
  readonly #queue = new SerialQueue()
  #newest = new Map<string, SignedHead>()

  private constructor(context: SignedHeadsContext) {
    this.#context = context
  }

  /** Reads the folder's signed heads. What is damaged there, or not by an admin any more, is dropped: it comes again. */
  static async open(context: SignedHeadsContext): Promise<SignedHeads> {
    const heads = new SignedHeads(context)
    const path = join(context.folder, HEADS_FILE)
    try {
      const bytes = await readFileBounded(path, MAX_HEADS_FILE_BYTES)
      const lines = bytes?.toString('utf8').split('\n') ?? []
      heads.#newest = heads.#select(lines.filter((line) => line !== '').map((line) => Buffer.from(line))).added
    } catch (error) {
      context.log.warn({ err: error, file: path }, 'signed heads that were kept cannot be read')
    }
    return heads
  }

  /**
   * Signs what this roster holds now, keeps it, and gives it. Fails with `not_admin`, and as the file system does, with
   * nothing changed.
   */
  sign({ signer, authorId }: { signer: Signer; authorId: string }): Promise<SignedHead> {
    return this.#queue.run(async () => {
      const { networkId, clock, state, digest, heads } = this.#context
      if (state().admins.get(authorId)?.keyId !== signer.keyId) {
        throw identityErrors.not_admin(`${authorId} is not an admin of this network with that authority key`)
      }
      // Only a newer one is taken, whatever the clock does.
      const time = Math.max(clock.now(), (this.#newest.get(authorId)?.timeMs ?? 0) + 1)
      const content = { author: authorId, digest: digest(), heads: heads().slice(0, MAX_HEADS) }
      const payload = Buffer.from(JSON.stringify({ network: networkId, time, ...content }))
      const envelope = sealEnvelope({ payloadType: HEAD_PAYLOAD_TYPE, payload, signers: [signer] })
      const made = { ...content, timeMs: time, envelope }
      await this.#store([made])
      return made
    })
  }

  /**
   * Takes signed heads from anywhere, as envelopes or their JSON bytes. Nothing hostile throws: what is refused is in
   * `rejected` with its reason. One that is known, or older than the one kept, is left aside, and costs no verification.
   * Fails, having changed nothing, where they cannot be stored.
   */
  take(
    envelopes: readonly (Envelope | Uint8Array)[],
  ): Promise<{ added: readonly SignedHead[]; rejected: readonly Rejected[] }> {
    return this.#queue.run(async () => {
      const { added, rejected } = this.#select(envelopes)
      if (added.size > 0) await this.#store([...added.values()])
      return { added: [...added.values()], rejected }
    })
  }

  /** The newest of each who is admin now. */
  list(): readonly SignedHead[] {
    const { admins } = this.#context.state()
    return [...this.#newest.values()].filter(({ author }) => admins.has(author))
  }

  /** The newest time in them, in milliseconds since 1970; undefined where there is none. */
  newestMs(): number | undefined {
    const times = this.list().map(({ timeMs }) => timeMs)
    return times.length === 0 ? undefined : Math.max(...times)
  }

  /** Entries that signed heads name and this roster lacks, and what a checkpoint names and it lacks. */
  missing(): readonly Head[] {
    return this.#context.missing(this.list().flatMap(({ heads }) => heads))
  }

  /** The newest of these, by author, that are newer than what is known. */
  #select(envelopes: readonly (Envelope | Uint8Array)[]): { added: Map<string, SignedHead>; rejected: Rejected[] } {
    const added = new Map<string, SignedHead>()
    const rejected: Rejected[] = []
    for (const envelope of envelopes) {
      try {
        const head = this.#read(envelope, added)
        if (head !== undefined) added.set(head.author, head)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        rejected.push({ reason: error.reason, message: error.message })
      }
    }
    return { added, rejected }
  }

  /** Undefined where it is not newer than what is known. Throws a Refusal. */
  #read(input: Envelope | Uint8Array, seen: ReadonlyMap<string, SignedHead>): SignedHead | undefined {
    const envelope = input instanceof Uint8Array ? decodeHead(input) : input
    const { network, author, time, digest, heads } = parseHead(envelope)
    if (network !== this.#context.networkId) throw new Refusal('wrong_network', `it is of network ${network}`)
    const known = Math.max(this.#newest.get(author)?.timeMs ?? 0, seen.get(author)?.timeMs ?? 0)
    if (time <= known) return undefined
    const admin = this.#context.state().admins.get(author)
    // An honest peer may know of an admin that this node does not know of yet.
    if (admin === undefined) throw new Refusal('author_void', `${author} is not an admin here`)
    if (signersOf(envelope, [admin.authority]).length === 0) {
      throw new Refusal('bad_signature', `its signature is not ${author}'s`)
    }
    return { author, timeMs: time, digest, heads, envelope }
  }

  async #store(heads: readonly SignedHead[]): Promise<void> {
    const { folder, state } = this.#context
    const next = new Map(this.#newest)
    for (const head of heads) next.set(head.author, head)
    for (const author of next.keys()) if (!state().admins.has(author)) next.delete(author)
    const lines = [...next.values()].map(({ envelope }) => `${encodeEnvelope(envelope)}\n`)
    await writeFileAtomic(join(folder, HEADS_FILE), lines.join(''))
    this.#newest = next
  }
}

function decodeHead(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_HEAD_ENVELOPE_BYTES) throw new Refusal('too_large', `an envelope of ${bytes.length} bytes`)
  try {
    return decodeEnvelope(bytes, { payloadType: HEAD_PAYLOAD_TYPE, maxBytes: MAX_HEAD_ENVELOPE_BYTES })
  } catch (error) {
    throw new Refusal('malformed', error instanceof WarrenError ? error.message : String(error))
  }
}

function parseHead({ payloadType, payload }: Envelope): z.output<typeof payloadSchema> {
  if (payloadType !== HEAD_PAYLOAD_TYPE) throw new Refusal('malformed', 'not a signed head')
  if (payload.length > MAX_HEAD_BYTES) throw new Refusal('too_large', `a payload of ${payload.length} bytes`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    throw new Refusal('malformed', 'the payload is not JSON')
  }
  const parsed = payloadSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new Refusal('malformed', parsed.error.issues[0]?.message ?? 'the payload is not a signed head')
}
