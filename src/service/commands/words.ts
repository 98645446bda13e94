import type { PathView, ProxyView } from '../contract.ts'

/** True for a `host:port` whose host is this machine itself. */
export function isLoopback(target: string): boolean {
  return /^(127\.|localhost:|\[::1\]:)/.test(target)
}

/** `direct, 2 ms`; `direct, punched, 3 ms`; `relayed by vps, 41 ms, why: …`; `not connected now`. */
export function describePath({ path, latency_ms, carrier, via, why }: PathView): string {
  if (path === 'self') return 'this node'
  if (path === 'none') return why === null ? 'not connected now' : `not connected now: ${why}`
  const rtt = latency_ms === null ? [] : [`${latency_ms < 10 ? latency_ms.toFixed(1) : Math.round(latency_ms)} ms`]
  const how = path === 'direct' && carrier !== null && carrier !== 'tcp' ? [carrier] : []
  return [via === null ? path : `${path} by ${via}`, ...how, ...rtt, ...(why === null ? [] : [`why: ${why}`])].join(
    ', ',
  )
}

/** `localhost:5432`, or `0.0.0.0:5432, [::]:5432`. */
export function describeLocal(local: readonly string[]): string {
  const ports = new Set(local.map((place) => place.slice(place.lastIndexOf(':'))))
  const allLoopback = local.length > 0 && local.every((place) => /^(127\.0\.0\.1|\[::1\]):/.test(place))
  return allLoopback && ports.size === 1 ? `localhost${[...ports][0]}` : local.join(', ')
}

/** `localhost:5432 → office:postgres`. */
export function describeProxy({ local, node, service, kind }: ProxyView): string {
  const at = local.length === 0 ? 'nowhere yet' : describeLocal(local)
  return `${at} → ${node}:${service}${kind === 'udp' ? ' (udp)' : ''}`
}
