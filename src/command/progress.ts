import { formatBytes } from '../base/bytes.ts'
import { formatDuration } from '../base/durations.ts'
import type { Progress } from './define.ts'
import { onlyStyled } from './table.ts'

interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Live lines on a terminal, redrawn in place; on anything else they are not written at all. */
export function createProgress(terminal: Terminal, enabled: boolean): Progress {
  if (!enabled || terminal.isTTY !== true) return { show: () => undefined, clear: () => undefined }
  let shown = 0
  const clear = (): void => {
    if (shown > 0) terminal.write(`\u001b[${shown}A\u001b[0J`)
    shown = 0
  }
  return {
    clear,
    show(lines) {
      const width = (terminal.columns ?? 80) - 1
      clear()
      terminal.write(lines.map((line) => `${[...onlyStyled(line)].slice(0, width).join('')}\n`).join(''))
      shown = lines.length
    },
  }
}

/** `3.1 MB of 12 MB  26 %  1.2 MB/s  8 s left`: how far a transfer is after `elapsedMs`. */
export function describeTransfer(bytes: number, total: number, elapsedMs: number): string {
  const share = total === 0 ? 100 : Math.floor((bytes / total) * 100)
  const head = `${formatBytes(bytes)} of ${formatBytes(total)}  ${share} %`
  // A rate from less than a quarter of a second says nothing.
  if (elapsedMs < 250 || bytes === 0) return head
  const perSecond = (bytes / elapsedMs) * 1000
  const left = bytes >= total ? '' : `  ${formatDuration(((total - bytes) / perSecond) * 1000)} left`
  return `${head}  ${formatBytes(perSecond)}/s${left}`
}
