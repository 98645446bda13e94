import { implement, type Route } from '../api/contract.ts'
import { decodeEnvelope, type Envelope } from '../identity/index.ts'
import { rolloutContract } from './contract.ts'
import { DOCUMENT_TYPE, MAX_DOCUMENT_BYTES } from './document.ts'
import { HALT_TYPE, MAX_HALT_BYTES } from './halt.ts'
import { envelopeToJson, type Rollouts } from './rollouts.ts'

/** The answers to `rolloutContract`. */
export function rolloutRoutes(rollouts: Rollouts): Route[] {
  return [
    implement(rolloutContract.plan, ({ body }) => rollouts.plan(body)),
    implement(rolloutContract.sign, ({ body }) => {
      const { id, envelope } = rollouts.sign(body)
      return { id, envelope: envelopeToJson(envelope) }
    }),
    implement(rolloutContract.submit, ({ body, signal }) =>
      rollouts.submit(parse(body.envelope, DOCUMENT_TYPE, 2 * MAX_DOCUMENT_BYTES), {
        signal,
        timeoutMs: body.timeout_ms,
      }),
    ),
    implement(rolloutContract.list, () => rollouts.list()),
    implement(rolloutContract.status, ({ params }) => rollouts.status(params.id)),
    implement(rolloutContract.watch, ({ params, query, signal }) =>
      rollouts.watch(params.id, { signal, timeoutMs: query.timeout_ms }),
    ),
    implement(rolloutContract.signHalt, ({ body }) => ({
      envelope: envelopeToJson(rollouts.signHalt(body.id, body)),
    })),
    implement(rolloutContract.halt, ({ body }) => rollouts.halt(parse(body.envelope, HALT_TYPE, 4 * MAX_HALT_BYTES))),
  ]
}

function parse(json: unknown, payloadType: string, maxBytes: number): Envelope {
  return decodeEnvelope(Buffer.from(JSON.stringify(json)), { payloadType, maxBytes })
}
