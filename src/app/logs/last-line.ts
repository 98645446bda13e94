import type { AppLog } from './app-log.ts'
import { findTail, LineReader } from './read-lines.ts'

/** Blank lines at the end are passed over, but no more of them. */
const LINES_LOOKED_AT = 5
const MAX_LENGTH = 200

/** The last line that is not blank of what was written after the offsets; stderr goes first among lines of one moment. */
export async function readLastLine(
  log: AppLog,
  since: { readonly stdout: number; readonly stderr: number },
): Promise<string | undefined> {
  await log.observe()
  let best: { timeMs: number; text: string } | undefined
  for (const stream of ['stderr', 'stdout'] as const) {
    const file = log[stream]
    const { offset } = await findTail(
      file,
      { from: Math.max(since[stream], file.oldest), end: file.end },
      LINES_LOOKED_AT,
    )
    const times = file.times.cursor()
    for await (const line of new LineReader(file, offset).linesUntil(file.end, true)) {
      const text = line.text.trim().slice(0, MAX_LENGTH)
      if (text === '') continue
      const timeMs = await times.timeOf(line.offset)
      if (best === undefined || timeMs > best.timeMs || stream === 'stderr') best = { timeMs, text }
    }
  }
  return best?.text
}
