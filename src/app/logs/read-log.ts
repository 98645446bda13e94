import type { AppLog } from './app-log.ts'
import type { LogFile } from './log-file.ts'
import { findTail, LineReader, nextLineStart } from './read-lines.ts'
import type { TimeCursor } from './time-index.ts'

export interface LogLine {
  /** When it was written, in milliseconds since 1970: to 100 ms while the daemon ran, else the next time it looked. */
  readonly timeMs: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

export interface ReadLogOptions {
  /** Goes on with what is written from now on, until the signal. */
  readonly follow?: boolean
  /** Only so many of the last lines. */
  readonly tail?: number | undefined
  /** Only lines written at or after this time. */
  readonly sinceMs?: number | undefined
  readonly streams?: readonly ('stdout' | 'stderr')[]
  readonly signal?: AbortSignal | undefined
}

/**
 * The lines of an app in the order of their times. Waits for its reader: nothing is buffered but one block a stream.
 * With `follow` it ends quietly when the signal fires.
 */
export async function* readLog(log: AppLog, options: ReadLogOptions = {}): AsyncGenerator<LogLine> {
  const { follow = false, signal, streams = ['stdout', 'stderr'] } = options
  const growth = new Growth(log, signal)
  try {
    await log.observe()
    const starts = await Promise.all(streams.map((stream) => findStart(log[stream], options)))
    const sources = streams.map((stream, index) => new Source(log[stream], stream, starts[index]?.offset ?? 0))
    const counted = starts.reduce((sum, start) => sum + start.lines, 0)
    let toSkip = options.tail === undefined ? 0 : Math.max(0, counted - options.tail)
    do {
      for await (const line of merge(sources.map((source) => source.lines(!follow)))) {
        if (signal?.aborted) return
        if (toSkip > 0) toSkip--
        else yield line
      }
    } while (follow && (await growth.next()))
  } finally {
    growth.close()
  }
}

async function findStart(file: LogFile, { tail, sinceMs }: ReadLogOptions): Promise<{ offset: number; lines: number }> {
  const end = file.end
  let from = file.oldest
  if (sinceMs !== undefined) {
    const offset = await file.times.offsetSince(sinceMs)
    from = offset === undefined ? end : await nextLineStart(file, offset, end)
  }
  if (tail === undefined) return { offset: from, lines: 0 }
  return tail === 0 ? { offset: end, lines: 0 } : findTail(file, { from, end }, tail)
}

class Source {
  readonly #stream: 'stdout' | 'stderr'
  readonly #file: LogFile
  readonly #reader: LineReader
  readonly #times: TimeCursor

  constructor(file: LogFile, stream: 'stdout' | 'stderr', offset: number) {
    this.#stream = stream
    this.#file = file
    this.#reader = new LineReader(file, offset)
    this.#times = file.times.cursor()
  }

  async *lines(flush: boolean): AsyncGenerator<LogLine> {
    for await (const { offset, text } of this.#reader.linesUntil(this.#file.end, flush)) {
      yield { timeMs: await this.#times.timeOf(offset), stream: this.#stream, line: text }
    }
  }
}

async function* merge(sources: AsyncGenerator<LogLine>[]): AsyncGenerator<LogLine> {
  const heads = await Promise.all(sources.map((source) => source.next()))
  for (;;) {
    let best = -1
    for (const [index, head] of heads.entries()) {
      if (head.done) continue
      const current = best < 0 ? undefined : heads[best]
      if (current === undefined || current.done || head.value.timeMs < current.value.timeMs) best = index
    }
    const source = sources[best]
    const head = heads[best]
    if (source === undefined || head === undefined || head.done) return
    yield head.value
    heads[best] = await source.next()
  }
}

/** Waits for a log to grow; remembers a growth that came while nobody waited. */
class Growth {
  #hasGrown = false
  #wake: (() => void) | undefined
  readonly #signal: AbortSignal | undefined
  readonly #unsubscribe: () => void
  readonly #onAbort = (): void => this.#wake?.()

  constructor(log: AppLog, signal: AbortSignal | undefined) {
    this.#signal = signal
    this.#unsubscribe = log.onGrowth(() => {
      this.#hasGrown = true
      this.#wake?.()
    })
    signal?.addEventListener('abort', this.#onAbort)
  }

  /** True when there is more; false when the signal fired. */
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
