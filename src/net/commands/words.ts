/** `2.3 ms`, `41 ms`, `-` where none was measured. */
export function formatLatency(latencyMs: number | null): string {
  if (latencyMs === null) return '-'
  return `${latencyMs < 10 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`
}

/** The end of a peer id: its beginning is the same for all. */
export function shortPeer(id: string): string {
  return `…${id.slice(-8)}`
}
