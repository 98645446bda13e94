import type { Envelope } from '../envelope.ts'
import { identityErrors } from '../errors.ts'
import { type BodyInput, faultsOfBody, type StatementType } from './bodies.ts'
import { MAX_STATEMENT_BYTES, ROOT_AUTHOR } from './constants.ts'
import { hashOfPayload, parseStatement, Refusal, type Statement } from './statement.ts'
import type { Place } from './statement-set.ts'

/** A statement to make. */
export type StatementDraft = { [T in StatementType]: { readonly type: T; readonly body: BodyInput<T> } }[StatementType]

/** The payloads of the next entries of a log. Fails with `statement_invalid` or `statement_too_large`. */
export function draftPayloads(
  drafts: readonly StatementDraft[],
  { network, author, key, head, timeMs }: { network: string; author: string; key: string; head: Place; timeMs: number },
): Buffer[] {
  let { seq, hash: prev } = head
  return drafts.map(({ type, body }) => {
    const faults = faultsOfBody(type, body)
    if (faults !== '') throw identityErrors.statement_invalid(`a "${type}" statement is not valid: ${faults}`)
    seq += 1
    const payload = Buffer.from(JSON.stringify({ network, author, key, seq, prev, time: timeMs, type, body }))
    if (payload.length > MAX_STATEMENT_BYTES) {
      throw identityErrors.statement_too_large(
        `a "${type}" statement of ${payload.length} bytes is longer than ${MAX_STATEMENT_BYTES}`,
      )
    }
    prev = hashOfPayload(payload)
    return payload
  })
}

/** Fails with `statement_invalid` where these are not the next statements of the root's log, in their order. */
export function checkRootChain(envelopes: readonly Envelope[], head: Place): void {
  let { seq, hash } = head
  for (const envelope of envelopes) {
    let statement: Statement
    try {
      statement = parseStatement(envelope)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      throw identityErrors.statement_invalid(`a statement of the root cannot be read: ${error.message}`)
    }
    if (statement.author !== ROOT_AUTHOR || statement.known === undefined) {
      throw identityErrors.statement_invalid('a statement is not of the root, or not one that this release knows')
    }
    if (statement.seq !== seq + 1 || statement.prev !== hash) {
      throw identityErrors.statement_invalid(
        `the root has signed something else since this was drafted: draft it again`,
      )
    }
    seq = statement.seq
    hash = statement.hash
  }
}
