import { allows, type Caller, implement, type Role, type Route } from '../api/index.ts'
import { decodeEnvelope, type Envelope } from '../identity/index.ts'
import { type RolloutStatus, rolloutContract } from './contract.ts'
import { DOCUMENT_TYPE, MAX_DOCUMENT_BYTES } from './document.ts'
import { rolloutErrors } from './errors.ts'
import { HALT_TYPE, MAX_HALT_BYTES, readHalt } from './halt.ts'
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
    implement(rolloutContract.list, ({ caller }) =>
      rollouts.list().filter(({ app }) => allows(caller.rights, rolloutContract.list.role, { app })),
    ),
    implement(rolloutContract.status, ({ params, caller }) => seenBy(caller, () => rollouts.status(params.id))),
    implement(rolloutContract.watch, ({ params, query, signal, caller }) => {
      const { id } = seenBy(caller, () => rollouts.status(params.id))
      return rollouts.watch(id, { signal, timeoutMs: query.timeout_ms })
    }),
    implement(rolloutContract.signHalt, ({ body }) => ({
      envelope: envelopeToJson(rollouts.signHalt(body.id, body)),
    })),
    implement(rolloutContract.halt, ({ body, caller }) => {
      const envelope = parse(body.envelope, HALT_TYPE, 4 * MAX_HALT_BYTES)
      const { app } = seenBy(caller, () => rollouts.status(readHalt(envelope).halt.document))
      if (allows(caller.rights, rolloutContract.halt.role, { app })) return rollouts.halt(envelope)
      throw rolloutErrors.rollout_forbidden(`${caller.id} may see rollouts of ${app}, and not halt them`, {
        hint: `Ask an admin for the role ${rolloutContract.halt.role} on it.`,
      })
    }),
  ]
}

const SEES: Role = 'viewer'

/**
 * The status where the caller may see that app. Fails with `rollout_not_found`: what it may not see is not there for it,
 * and neither is what a part of an id could mean besides.
 */
function seenBy(caller: Caller, find: () => RolloutStatus): RolloutStatus {
  try {
    const status = find()
    if (allows(caller.rights, SEES, { app: status.app })) return status
  } catch (error) {
    if (allows(caller.rights, SEES)) throw error
  }
  throw rolloutErrors.rollout_not_found('no such rollout is known here', {
    hint: 'See which there are: warren rollout list',
  })
}

function parse(json: unknown, payloadType: string, maxBytes: number): Envelope {
  return decodeEnvelope(Buffer.from(JSON.stringify(json)), { payloadType, maxBytes })
}
