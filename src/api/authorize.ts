import { type AnyCall, type Caller, ROLES, roleIncludes, type SubjectInput } from './contract.ts'
import { apiErrors } from './errors.ts'
import { allows, type Grant, type Rights } from './rights.ts'

/** A request as far as its first line tells. */
export interface Asked {
  readonly caller: Caller
  /** The parameters of its path, decoded. */
  readonly params: Readonly<Record<string, string>>
  /** Names of those who can give rights, for the hint. */
  readonly whomToAsk?: (() => string) | undefined
}

/**
 * Judges a call before anything but its first line was read. Fails with `local_only`, and with `role_required` where
 * neither the role nor any narrowed grant of the caller can open it. What it gives must be called with the parsed
 * request before the handler is: for a call whose subject is in its body it fails with `role_required` then.
 */
export function authorize(call: AnyCall, asked: Asked): (input: SubjectInput) => void {
  const { caller, params } = asked
  if (call.localOnly === true && caller.door !== 'local') {
    throw apiErrors.local_only(`${nameOf(call)} is answered on this node's own socket only`)
  }
  if (roleIncludes(caller.rights.role, call.role)) return () => undefined
  if (!caller.rights.grants.some(({ role }) => roleIncludes(role, call.role))) throw refusal(call, asked)
  if (call.filtered === true) return () => undefined
  const { subject } = call
  if (subject === undefined) {
    if (!allows(caller.rights, call.role, subjectOf(params))) throw refusal(call, asked)
    return () => undefined
  }
  return (input) => {
    if (!allows(caller.rights, call.role, subject(input))) throw refusal(call, asked)
  }
}

function subjectOf({ app }: Readonly<Record<string, string>>): { app?: string } {
  return app === undefined ? {} : { app }
}

function refusal(call: AnyCall, { caller, whomToAsk }: Asked): Error {
  const { role, grants } = caller.rights
  const ask = whomToAsk?.() ?? ''
  return apiErrors.role_required(
    `${nameOf(call)} needs the role ${call.role}; the calling node has ${describeRights(caller.rights)}`,
    {
      hint:
        ask === ''
          ? `An admin of this network gives it: warren grant NODE ${call.role}`
          : `An admin gives it: warren grant NODE ${call.role}    (on ${ask})`,
      details: { needed: call.role, has: role, grants, roles: ROLES },
    },
  )
}

/** `the role member, and operator for the apps web-*`. */
function describeRights({ role, grants }: Rights): string {
  return [`the role ${role}`, ...grants.map(describeGrant)].join(', and ')
}

function describeGrant({ role, apps, services }: Grant): string {
  const parts = [
    ...(apps === null ? [] : [`the apps ${apps.join(', ')}`]),
    ...(services === null ? [] : [`the services ${services.join(', ')}`]),
  ]
  return `${role} for ${parts.join(' and ') || 'nothing'}`
}

function nameOf(call: AnyCall): string {
  return `${call.method} ${call.path}`
}
