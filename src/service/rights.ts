import { allows, type Rights, roleIncludes } from '../api/index.ts'
import { roleIn, type Service } from './exposed.ts'

/** Who may connect to a service for which nobody is named: those who may start and stop what is behind it. */
export const DEFAULT_TO: readonly string[] = ['operator']

/** Whose rights are judged. */
export interface Asker {
  readonly id: string
  /** Undefined for a peer that the roster does not know, or knows no more. */
  readonly rights: Rights | undefined
}

/**
 * True where the asker may connect: an admin, who may expose it to itself at any time; one with a grant on the service,
 * at least as operator; and whoever `to` names, by id or by a role that it has. Nobody without any rights.
 */
export function mayUse({ name, to }: Pick<Service, 'name' | 'to'>, { id, rights }: Asker): boolean {
  if (rights === undefined) return false
  if (roleIncludes(rights.role, 'admin')) return true
  if (allows({ role: 'relay', grants: rights.grants }, 'operator', { service: name })) return true
  return to.some((word) => {
    const role = roleIn(word)
    return role === undefined ? word === id : roleIncludes(rights.role, role)
  })
}

/** Whom to ask for what, where a connection is refused. */
export function hintOf(service: string, { node, admins }: { node: string; admins: string }): string {
  const whom = admins === '' ? '' : `    (on ${admins})`
  return `An admin allows it: warren grant ${node} operator --service ${service}${whom}`
}

/** True where the asker is shown the service's host and port: whoever may connect, and who may read what is there. */
export function maySeeTarget(service: Service, asker: Asker): boolean {
  if (asker.rights === undefined) return false
  return mayUse(service, asker) || allows(asker.rights, 'viewer', { service: service.name })
}
