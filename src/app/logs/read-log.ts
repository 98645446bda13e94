import { Growth } from '../../base/growth.ts'
import type { AppLog } from './app-log.ts'
import type { LogFile } from './log-file.ts'
import { findTail, LineReader, nextLineStart } from './read-lines.ts'
import type { TimeCursor } from './time-index.ts'

export interface LogLine {
  /** When it was written, in milliseconds since 1970: to 100 ms while the daemon ran, else the next time it looked. */
  readonly timeMs: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
  /** Where a reader goes on after this line, in both streams. */
  readonly cursor: string
}

export interface ReadLogOptions {
  /** Goes on with what is written from now on, until the signal. */
  readonly follow?: boolean
  /** Only so many of the last lines. */
  readonly tail?: number | undefined
  /** Only lines after the one that had this cursor; outranks `tail` and `sinceMs`. */
  readonly cursor?: string | undefined
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
    const resumed = parseLogCursor(options.cursor)
    const starts = await Promise.all(
      streams.map((stream) =>
        resumed === undefined ? findStart(log[stream], options) : goOn(log[stream], resumed[stream]),
      ),
    )
    const sources = streams.map((stream, index) => new Source(log[stream], stream, starts[index]?.offset ?? 0))
    const positions = { stdout: log.stdout.end, stderr: log.stderr.end }
    for (const [index, stream] of streams.entries()) positions[stream] = starts[index]?.offset ?? 0
    const counted = starts.reduce((sum, start) => sum + start.lines, 0)
    let toSkip = options.tail === undefined ? 0 : Math.max(0, counted - options.tail)
    do {
      for await (const { next, ...line } of merge(sources.map((source) => source.lines(!follow)))) {
        if (signal?.aborted) return
        positions[line.stream] = next
        if (toSkip > 0) toSkip--
        else yield { ...line, cursor: `${positions.stdout}.${positions.stderr}` }
      }
    } while (follow && (await growth.next()))
  } finally {
    growth.close()
  }
}

/** Offsets that an earlier reader was told; undefined for none and for what is no cursor. */
function parseLogCursor(text: string | undefined): { stdout: number; stderr: number } | undefined {
  const [, stdout, stderr] = /^(\d{1,15})\.(\d{1,15})$/.exec(text ?? '') ?? []
  return stdout === undefined || stderr === undefined ? undefined : { stdout: Number(stdout), stderr: Number(stderr) }
}

/** What was rotated away meanwhile is skipped; a log that was removed and begun anew is read from its beginning. */
async function goOn(file: LogFile, offset: number): Promise<{ offset: number; lines: number }> {
  return { offset: offset > file.end ? file.oldest : Math.max(offset, file.oldest), lines: 0 }
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

/** A line before its place in the merged whole is known. */
interface SourceLine extends Omit<LogLine, 'cursor'> {
  readonly next: number
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

  async *lines(flush: boolean): AsyncGenerator<SourceLine> {
    for await (const { offset, next, text } of this.#reader.linesUntil(this.#file.end, flush)) {
      yield { timeMs: await this.#times.timeOf(offset), stream: this.#stream, line: text, next }
    }
  }
}

async function* merge(sources: AsyncGenerator<SourceLine>[]): AsyncGenerator<SourceLine> {
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
