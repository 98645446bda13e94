import { formatDuration } from '../../base/durations.ts'
import { printable } from '../../command/index.ts'
import type { GrantView, NodeInfo } from '../contract.ts'

/** First letters of an id in hex, as people write it. */
export function shortId(id: string): string {
  return id.slice(0, 8)
}

/** `2026-11-21 19:20 UTC`. */
export function describeTime(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`
}

/** `in 1 h 0 m`, `2 d 3 h ago`; `never` for null. */
export function describeWhen(iso: string | null, nowMs = Date.now()): string {
  if (iso === null) return 'never'
  const leftMs = Date.parse(iso) - nowMs
  return leftMs >= 0 ? `in ${formatDuration(leftMs)}` : `${formatDuration(-leftMs)} ago`
}

/** `site=home,arch=arm64`. */
export function describeLabels(labels: Readonly<Record<string, string>>): string {
  return printable(
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  )
}

/** `operator of api, web-*, service db until 2026-11-21 19:20 UTC`. */
export function describeGrant({ role, apps, services, expires }: GrantView): string {
  const on = [...(apps ?? []), ...(services ?? []).map((service) => `service ${service}`)]
  return printable(`${role} of ${on.join(', ')}${expires === null ? '' : ` until ${describeTime(expires)}`}`)
}

/** `pi is member, operator of api`. */
export function describeRights({ name, role, grants, expires }: NodeInfo): string {
  const until = expires === null ? '' : ` until ${describeTime(expires)}`
  return `${printable(name)} is ${[`${role}${until}`, ...grants.map(describeGrant)].join('; ')}`
}

/** `1 statement`, `2 statements`. */
export function countOf(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`
}
