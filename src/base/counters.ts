/** Named counters with labels; the metrics page reads them, and they cost nothing when nobody does. */
export class Counters {
  #values = new Map<string, number>()
  /** Adds to a counter, for example `add('net_refused', 1, { reason: 'gate' })`. */
  add(name: string, by = 1, labels: Record<string, string> = {}): void {
    const key = keyOf(name, labels)
    this.#values.set(key, (this.#values.get(key) ?? 0) + by)
  }
  get(name: string, labels: Record<string, string> = {}): number {
    return this.#values.get(keyOf(name, labels)) ?? 0
  }
  entries(): [key: string, value: number][] {
    return [...this.#values]
  }
}

function keyOf(name: string, labels: Record<string, string>): string {
  const parts = Object.keys(labels)
    .sort()
    .map((label) => `${label}=${JSON.stringify(labels[label])}`)
  return parts.length === 0 ? name : `${name}{${parts.join(',')}}`
}
