import { printable } from '../../command/index.ts'

/** `2.3 ms`, `41 ms`, `-` where none was measured. */
export function formatLatency(latencyMs: number | null): string {
  if (latencyMs === null) return '-'
  return `${latencyMs < 10 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`
}

/** The end of a peer id: its beginning is the same for all. */
export function shortPeer(id: string): string {
  return `…${id.slice(-8)}`
}

/** A reason in a line that begins with the name of the node it is about. */
export function withoutName(reason: string, name: string): string {
  const beginning = [`cannot reach ${name}: `, `${name}: `].find((text) => reason.startsWith(text))
  return reason.slice(beginning?.length ?? 0)
}

/** What is said of a path. */
interface ShownPath {
  readonly path: 'direct' | 'relayed' | null
  readonly kind: string | null
  readonly via: { readonly id: string; readonly name: string | null } | null
  readonly lan: boolean
}

/** `direct`, `direct (lan)`, `direct, punched`, `relayed by vps`, `no path`. */
export function describePath({ path, kind, via, lan }: ShownPath): string {
  if (path === null) return 'no path'
  if (path === 'relayed') return via === null ? 'relayed' : `relayed by ${printable(via.name ?? shortPeer(via.id))}`
  return `direct${lan ? ' (lan)' : ''}${HOW[kind ?? ''] ?? ''}`
}

/** What goes without saying is not said. */
const HOW: Readonly<Record<string, string>> = {
  punched: ', punched',
  websocket: ', websocket',
  datachannel: ', punched over udp',
}
