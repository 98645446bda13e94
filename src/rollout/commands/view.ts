import { formatBytes } from '../../base/bytes.ts'
import { formatDuration } from '../../base/durations.ts'
import { type CommandContext, describeTransfer, printable, type Style } from '../../command/index.ts'
import type { RolloutEnd, RolloutEvent, RolloutProgress } from '../contract.ts'
import type { OutcomeState } from '../words.ts'

/** Live lines at once; a larger rollout says how many more there are. */
const MAX_LIVE_LINES = 12

const MARKS: Record<OutcomeState, string> = {
  waiting: '○',
  working: '◐',
  going_back: '◐',
  healthy: '●',
  failed: '✗',
  refused: '✗',
  reverted: '↺',
  unreachable: '✗',
  skipped: '○',
}

/** Shows where each node is, on a terminal, while the events go by. */
export class LiveView {
  readonly #context: CommandContext
  readonly #title: string
  readonly #nodes = new Map<string, { event: RolloutProgress; sinceMs: number }>()

  constructor(context: CommandContext, title: string) {
    this.#context = context
    this.#title = title
    context.progress.show([title])
  }

  /** Bytes that other nodes have sent so far, and the size of what they send. */
  get moved(): { bytes: number; total: number } {
    const events = [...this.#nodes.values()].map(({ event }) => event)
    return {
      bytes: events.reduce((sum, { moved }) => sum + moved, 0),
      total: Math.max(0, ...events.map(({ total }) => total)),
    }
  }

  add(event: RolloutEvent): void {
    if ('done' in event) {
      this.#context.progress.clear()
      return
    }
    const before = this.#nodes.get(event.node)
    const sinceMs = before?.event.phase === event.phase ? before.sinceMs : performance.now()
    const moved = Math.max(event.moved, before?.event.moved ?? 0)
    this.#nodes.set(event.node, { event: { ...event, moved }, sinceMs })
    const lines = [...this.#nodes.values()].map(({ event: last, sinceMs: since }) => lineOf(last, since))
    const more = lines.length > MAX_LIVE_LINES ? [`  … and ${lines.length - MAX_LIVE_LINES} more`] : []
    this.#context.progress.show([this.#title, ...lines.slice(0, MAX_LIVE_LINES), ...more])
  }
}

/** What came of a rollout, for people: one line, and one more for each node that did not make it. */
export function describeEnd(
  end: RolloutEnd,
  { style, elapsedMs, moved }: { style: Style; elapsedMs?: number; moved?: { bytes: number; total: number } },
): string {
  const waves = Math.max(...end.results.map(({ wave }) => wave))
  const count = end.results.length === 1 ? '1 node' : `${end.results.length} nodes`
  const head = [`deploy   ${style.bold(`${end.app} ${end.version}`)} → ${count}`]
  if (moved !== undefined && moved.total > 0) {
    head.push(`moved ${formatBytes(moved.bytes)}${end.results.length === 1 ? ` of ${formatBytes(moved.total)}` : ''}`)
  }
  if (waves > 1) head.push(`${waves} waves`)
  if (elapsedMs !== undefined) head.push(formatDuration(elapsedMs))
  head.push(end.results.map((result) => dot(result, style)).join('  '))
  return [head.join('  '), ...troubles(end), ...closing(end)].join('\n')
}

/** The exit code of a rollout's end: 0, 1 where it is not as asked for, 6 where only the wait ended. */
export function exitCodeOfEnd(end: RolloutEnd): number {
  if (end.timed_out) return 6
  return end.ok ? 0 : 1
}

/** `● burrow-1 healthy`; the meaning is in the word, the colour only helps. */
export function dot({ node, state }: { node: string; state: OutcomeState }, style: Style): string {
  const colour = state === 'healthy' ? style.green : MARKS[state] === '✗' ? style.red : style.yellow
  return `${colour(MARKS[state])} ${printable(node)} ${state.replace('_', ' ')}`
}

function troubles(end: RolloutEnd): string[] {
  return end.results
    .filter(({ state }) => state === 'failed' || state === 'refused' || state === 'unreachable')
    .map(
      ({ node, reason, wave, state }) => `         ✗ ${printable(node)} (wave ${wave}): ${printable(reason ?? state)}`,
    )
}

function closing(end: RolloutEnd): string[] {
  const names = (states: OutcomeState[]): string =>
    end.results
      .filter(({ state }) => states.includes(state))
      .map(({ node }) => printable(node))
      .join(', ')
  const lines: string[] = []
  for (const version of new Set(end.results.filter(isBack).map((result) => result.version))) {
    const nodes = end.results.filter((result) => isBack(result) && result.version === version)
    const where = nodes.map(({ node }) => printable(node)).join(', ')
    lines.push(version === null ? `         stopped on ${where}` : `         back to ${printable(version)} on ${where}`)
  }
  const untouched = names(['skipped'])
  if (untouched !== '') lines.push(`         never started on ${untouched}`)
  if (end.reason !== null && !end.timed_out) lines.push(`         ${printable(end.reason)}`)
  const ahead = end.results.filter(({ state }) => state === 'healthy').map(({ node }) => printable(node))
  if (!end.ok && !end.timed_out && ahead.length > 0) {
    const targets = ahead.map((node) => `--on ${node}`).join(' ')
    lines.push(
      `         ${ahead.join(', ')} keeps ${printable(end.version)}; to go back: warren rollback ${printable(end.app)} ${targets}`,
    )
  }
  if (end.timed_out) lines.push(`         still going on; follow it: warren rollout watch ${end.short}`)
  return lines
}

function isBack({ state }: { state: OutcomeState }): boolean {
  return state === 'failed' || state === 'reverted'
}

function lineOf({ node, phase, bytes, total, error }: RolloutProgress, sinceMs: number): string {
  const name = printable(node).padEnd(16)
  if (error !== undefined) return `  ${name} ✗ ${printable(error)}`
  if (phase !== 'send' || total === 0) return `  ${name} ${phase === 'done' ? '● healthy' : phase}`
  return `  ${name} send  ${describeTransfer(bytes, total, performance.now() - sinceMs)}`
}
