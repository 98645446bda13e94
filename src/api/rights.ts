/** Roles in the order of what they may do; each includes the ones before it. */
export const ROLES = ['relay', 'member', 'viewer', 'operator', 'admin'] as const
/** A role, by name. */
export type Role = (typeof ROLES)[number]

/** True where `role` includes the rights of `needed`. */
export function roleIncludes(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

/** A right that is narrowed to some apps or services, beside a role. */
export interface Grant {
  readonly role: 'viewer' | 'operator'
  /** Names of apps; `*` at the end stands for any rest. Null: no app. */
  readonly apps: readonly string[] | null
  /** Names of services, as `apps`. */
  readonly services: readonly string[] | null
  /** Milliseconds since 1970 from which it counts no more; null: never. */
  readonly expires: number | null
}

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
