import type { Roster } from '../identity/index.ts'
import { memberErrors } from './errors.ts'

/** Fails with `name_taken` where another node or token than `id` has the name. */
export function requireFreeName(roster: Roster, name: string, id?: string): void {
  const owner = [...roster.state.nodes.values()].find((node) => node.name === name && node.id !== id)
  if (owner === undefined) return
  throw memberErrors.name_taken(`a ${owner.kind} of this network has the name "${name}" already`, {
    hint: `Take another name, or see who has it: warren ${owner.kind === 'token' ? 'tokens' : 'nodes'}`,
  })
}

/** The name of an admin for people: `root`, its name, or what its id ends in where it was removed. */
export function describeId(roster: Roster, id: string): string {
  return id === 'root' ? id : (roster.state.nodes.get(id)?.name ?? `…${id.slice(-8)}`)
}

/** ISO 8601 of a time in milliseconds; null where there is none. */
export function isoTime(timeMs: number | null | undefined): string | null {
  return timeMs == null ? null : new Date(timeMs).toISOString()
}
