import { createHash } from 'node:crypto'
import { ManualClock } from '../../base/clock.ts'
import { type Signer, signerFromSeed } from '../ed25519.ts'
import { type Envelope, sealEnvelope } from '../envelope.ts'
import { peerIdOf } from '../peer-id.ts'
import { rootSignerOf } from '../recovery-phrase.ts'
import type { BodyInput } from './bodies.ts'
import { ROOT_AUTHOR, ROSTER_PAYLOAD_TYPE } from './constants.ts'
import { evaluate } from './evaluate.ts'
import { createGenesis, type Genesis, toBase64 } from './genesis.ts'
import { StatementIntake } from './intake.ts'
import { hashOfPayload } from './statement.ts'
import type { Place } from './statement-set.ts'

export type { Place } from './statement-set.ts'

/** A node that can write statements, rightly or not. */
export interface Writer {
  readonly id: string
  readonly authority: Signer
}

/** A writer with keys that follow from its name. */
export function writer(name: string): Writer {
  const seed = (what: string) => createHash('sha256').update(`${what} ${name}`).digest()
  return { id: peerIdOf(signerFromSeed(seed('node')).publicKey), authority: signerFromSeed(seed('authority')) }
}

export const rootSigner = rootSignerOf('040G 2081 040G 2081 040G 2081 040G 2081 040G 2081 040G 2081 1BCC')
export const root: Writer = { id: ROOT_AUTHOR, authority: rootSigner }
export const alice = writer('alice')
export const bob = writer('bob')
export const carol = writer('carol')
export const START_MS = 1_700_000_000_000

export function makeGenesis(admin: Writer = alice): Genesis {
  return createGenesis({ rootSigner, admin, clock: new ManualClock(START_MS) })
}

/** Writes statements of any kind at any place, as an honest program would not. */
export function createForge(genesis: Genesis) {
  const heads = new Map<string, Place>()
  const write = (
    by: Writer,
    type: string,
    body: unknown,
    { after, overrides = {}, signer = by.authority }: { after?: Place; overrides?: object; signer?: Signer } = {},
  ): Place & { envelope: Envelope } => {
    const last = after ?? heads.get(by.id) ?? { seq: 0, hash: genesis.networkId }
    const header = { network: genesis.networkId, author: by.id, key: signer.keyId, seq: last.seq + 1, prev: last.hash }
    const payload = Buffer.from(JSON.stringify({ ...header, time: START_MS + last.seq, type, body, ...overrides }))
    const envelope = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [signer] })
    const place = { seq: last.seq + 1, hash: hashOfPayload(payload) }
    heads.set(by.id, place)
    return { ...place, envelope }
  }
  return { write, headOf: (by: Writer): Place => heads.get(by.id) ?? { seq: 0, hash: genesis.networkId } }
}

/** The body of a `node` statement. */
export function nodeBody(node: Writer, fields: Partial<BodyInput<'node'>> = {}): BodyInput<'node'> {
  return { id: node.id, name: 'pi', role: 'member', labels: {}, expires: null, revision: 1, ...fields }
}

/** The body of an `admins` statement. */
export function adminsBody(
  admins: readonly Writer[],
  { version, previous, removed = [] }: { version: number; previous: string; removed?: readonly object[] },
) {
  return {
    version,
    previous,
    root: toBase64(rootSigner.publicKey),
    threshold: 1,
    admins: admins.map(({ id, authority }) => ({ id, authority: toBase64(authority.publicKey) })),
    removed,
  }
}

/** What a set of statements comes to when taken in this order, in goes of the given sizes. */
export function settle(genesis: Genesis, envelopes: readonly Envelope[], goSizes: readonly number[] = []) {
  const intake = new StatementIntake(genesis)
  let evaluation = evaluate(genesis, intake.statements)
  let rejected: readonly { reason: string; message: string }[] = []
  let waiting = 0
  let at = 0
  for (const size of [...goSizes, envelopes.length]) {
    const go = intake.begin(evaluation)
    for (const envelope of envelopes.slice(at, at + size)) {
      go.take(envelope)
      while (go.step());
    }
    at += size
    const result = go.finish()
    rejected = [...rejected, ...result.rejected]
    waiting = result.waiting
    evaluation = evaluate(genesis, intake.statements)
  }
  return { evaluation, rejected, waiting, statements: intake.statements }
}
