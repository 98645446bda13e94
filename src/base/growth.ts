/** Waits for a log to grow; remembers a growth that came while nobody waited. */
export class Growth {
  #hasGrown = false
  #wake: (() => void) | undefined
  readonly #signal: AbortSignal | undefined
  readonly #unsubscribe: () => void
  readonly #onAbort = (): void => this.#wake?.()

  constructor(log: { onGrowth(listener: () => void): () => void }, signal: AbortSignal | undefined) {
    this.#signal = signal
    this.#unsubscribe = log.onGrowth(() => {
      this.#hasGrown = true
      this.#wake?.()
    })
    signal?.addEventListener('abort', this.#onAbort)
  }

  /** True when there may be more; false when the signal fired. */
  async next(): Promise<boolean> {
    if (!this.#hasGrown && !this.#signal?.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#hasGrown = false
    return !this.#signal?.aborted
  }

  close(): void {
    this.#unsubscribe()
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}
