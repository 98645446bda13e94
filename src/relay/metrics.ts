/** A value that is asked for when the page is read. */
export interface Gauge {
  readonly name: string
  readonly help: string
  readonly value: number
}

/** Names on the page begin with this. */
const PREFIX = 'warren_'

/**
 * The text format of Prometheus (version 0.0.4): counters as `Counters.entries()` gives them, each name with `_total`,
 * and gauges.
 */
export function writeMetrics(
  counters: readonly (readonly [key: string, value: number])[],
  gauges: readonly Gauge[],
): string {
  const families = new Map<string, string[]>()
  for (const [key, value] of counters) {
    const [, name = '', labels = ''] = /^([a-zA-Z_][a-zA-Z0-9_]*)(\{.*\})?$/s.exec(key) ?? []
    if (name === '') continue
    const family = `${PREFIX}${name}_total`
    const lines = families.get(family) ?? []
    lines.push(`${family}${escapeLabels(labels)} ${value}`)
    families.set(family, lines)
  }
  const counted = [...families].sort(([a], [b]) => (a < b ? -1 : 1))
  const lines = [
    ...gauges.flatMap(({ name, help, value }) => [
      `# HELP ${PREFIX}${name} ${help}`,
      `# TYPE ${PREFIX}${name} gauge`,
      `${PREFIX}${name} ${value}`,
    ]),
    ...counted.flatMap(([family, samples]) => [`# TYPE ${family} counter`, ...samples]),
  ]
  return `${lines.join('\n')}\n`
}

/** Values of labels are JSON, which knows more escapes than the format of the page. */
function escapeLabels(labels: string): string {
  return labels.replaceAll(/\\(u[0-9a-f]{4}|.)/g, (whole, kind: string) => ('\\"n'.includes(kind) ? whole : '?'))
}
