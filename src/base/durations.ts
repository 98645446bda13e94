const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `250ms`, `10s`, `5m`, `1h30m`, `7d`; undefined where it is anything else. A bare number is refused. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * (UNIT_MS[unit as string] as number)
  }
  return Number.isSafeInteger(Math.round(totalMs)) ? Math.round(totalMs) : undefined
}

/** A short text for people: `240 ms`, `2.4 s`, `3 m 20 s`, `5 h`, `2 d 3 h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(durationMs < 10_000 ? 1 : 0)} s`
  const seconds = Math.floor(durationMs / 1000)
  if (seconds < 3600) return inUnits(seconds, [60, 'm'], [1, 's'])
  if (seconds < 86_400) return inUnits(seconds, [3600, 'h'], [60, 'm'])
  return inUnits(seconds, [86_400, 'd'], [3600, 'h'])
}

type Unit = readonly [seconds: number, name: string]

function inUnits(seconds: number, [large, largeName]: Unit, [small, smallName]: Unit): string {
  const rest = Math.floor((seconds % large) / small)
  return `${Math.floor(seconds / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`
}
