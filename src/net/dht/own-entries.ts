import type { Clock } from '../../base/clock.ts'
import { mapLimited } from '../../base/wait.ts'
import { RENEW_CONCURRENCY, RENEW_MS } from './limits.ts'

interface Entry {
  /** Says it to the network. */
  readonly say: (signal: AbortSignal) => Promise<number>
  saidMs: number
  /** Contacts in the table when it was last said. */
  contacts: number
}

/** What this node itself says to the network, and says again: every half hour, and when there are many more to hear it. */
export class OwnEntries {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  #renewing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  /** From now on. Replaces what had this name. */
  add(name: string, contacts: number, say: Entry['say']): void {
    this.#entries.set(name, { say, saidMs: this.#clock.monotonicMs(), contacts })
  }

  remove(name: string): void {
    this.#entries.delete(name)
  }

  /** Says again what is due. One that fails is due again with the next call. */
  async renew(contacts: number, signal: AbortSignal): Promise<void> {
    if (this.#renewing || contacts === 0) return
    const now = this.#clock.monotonicMs()
    const due = [...this.#entries.values()].filter(
      (entry) => now - entry.saidMs >= RENEW_MS || contacts > 2 * entry.contacts,
    )
    this.#renewing = true
    try {
      await mapLimited(due, RENEW_CONCURRENCY, async (entry) => {
        const told = await entry.say(signal).catch(() => 0)
        if (told > 0) Object.assign(entry, { saidMs: now, contacts })
      })
    } finally {
      this.#renewing = false
    }
  }
}
