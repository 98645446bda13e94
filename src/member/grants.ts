import type { Grant, Role } from '../api/index.ts'
import { baseErrors } from '../base/errors.ts'

/** The apps and services that a right is narrowed to, by name; `*` at the end stands for any rest. */
export interface Narrowing {
  readonly apps: readonly string[]
  readonly services: readonly string[]
}

/**
 * The grants with one more. One for the same apps and services and role is replaced, and what has expired is left out.
 * Fails with `invalid_value` for a role that cannot be narrowed.
 */
export function addGrant(
  grants: readonly Grant[],
  { role, apps, services, expires }: Narrowing & { readonly role: Role; readonly expires: number | null },
  nowMs: number,
): Grant[] {
  if (role !== 'viewer' && role !== 'operator') {
    throw baseErrors.invalid_value(`the role ${role} cannot be narrowed to apps or services`, {
      hint: 'Narrow viewer or operator, or give the whole role: leave --app and --service out.',
    })
  }
  const added: Grant = { role, apps: listOrNull(apps), services: listOrNull(services), expires }
  const rest = grants.filter((grant) => !isOver(grant, nowMs) && !isFor(grant, added))
  return [...rest, added]
}

/**
 * The grants without these apps and services, of this role where one is given; without any all of that role. `taken`
 * counts the grants that were changed or went away.
 */
export function takeGrants(
  grants: readonly Grant[],
  { role, apps, services }: Narrowing & { readonly role?: Role | undefined },
): { grants: Grant[]; taken: number } {
  const whole = apps.length + services.length === 0
  const left = grants.map((grant): Grant | undefined => {
    if (role !== undefined && grant.role !== role) return grant
    if (whole) return undefined
    const next = { ...grant, apps: without(grant.apps, apps), services: without(grant.services, services) }
    if (isFor(next, grant)) return grant
    return next.apps === null && next.services === null ? undefined : next
  })
  const kept = left.filter((grant) => grant !== undefined)
  return { grants: kept, taken: grants.length - kept.filter((grant) => grants.includes(grant)).length }
}

function isOver({ expires }: Grant, nowMs: number): boolean {
  return expires !== null && nowMs >= expires
}

function isFor(a: Grant, b: Grant): boolean {
  return a.role === b.role && same(a.apps, b.apps) && same(a.services, b.services)
}

function same(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return [...(a ?? [])].sort().join(' ') === [...(b ?? [])].sort().join(' ')
}

function listOrNull(names: readonly string[]): string[] | null {
  return names.length === 0 ? null : [...new Set(names)]
}

function without(names: readonly string[] | null, taken: readonly string[]): string[] | null {
  return listOrNull((names ?? []).filter((name) => !taken.includes(name)))
}
