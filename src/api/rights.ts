import { z } from 'zod'
import { type Role, roleIncludes } from './contract.ts'

/** A right that is narrowed to some apps or services, beside a role. */
export const grantSchema = z.object({
  role: z.enum(['viewer', 'operator']),
  /** Names of apps; `*` at the end stands for any rest. Null: no app. */
  apps: z.array(z.string()).nullable(),
  /** Names of services, as `apps`. */
  services: z.array(z.string()).nullable(),
  /** Milliseconds since 1970 from which it counts no more; null: never. */
  expires: z.number().nullable(),
})
/** A right that is narrowed to some apps or services, beside a role. */
export type Grant = z.output<typeof grantSchema>

/** What a caller may do: its role, and grants that have not expired. */
export interface Rights {
  readonly role: Role
  readonly grants: readonly Grant[]
}

/** What a call acts on. Empty: the node or the network as a whole, which no narrowed grant covers. */
export interface Subject {
  readonly app?: string | undefined
  readonly service?: string | undefined
}

/** True where the role includes what is needed, or a grant does for this app or service. */
export function allows({ role, grants }: Rights, needed: Role, { app, service }: Subject = {}): boolean {
  if (roleIncludes(role, needed)) return true
  return grants.some(
    (grant) =>
      roleIncludes(grant.role, needed) &&
      ((app !== undefined && isNamed(grant.apps, app)) || (service !== undefined && isNamed(grant.services, service))),
  )
}

function isNamed(patterns: readonly string[] | null, name: string): boolean {
  return (patterns ?? []).some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
  )
}
