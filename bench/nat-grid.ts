/** The result of `nat` for people: a grid, and a line for each pair that has something to say. */
import { NAT_KINDS, type NatKind } from '../test/netns/rules.ts'

/** What came of two nodes behind two NATs. */
export interface Pair {
  readonly from: NatKind
  readonly to: NatKind
  /** When the first ping was answered, over whatever path. */
  readonly answeredMs: number | null
  /** When the routers had let a connection in both ways; null where they had not. */
  readonly directMs: number | null
  /** The path as the last ping told it. */
  readonly said: string
  /** The kind of the connection, as the node tells it. */
  readonly how: string
  /** Why it is not direct, as the node tells it. */
  readonly why: string | null
  /** Why the first ping that failed did so. */
  readonly trouble: string | null
}

/** One pair as a line; more as a grid with the reasons below. */
export function gridOf(pairs: readonly Pair[]): string {
  const [only] = pairs
  if (only !== undefined && pairs.length === 1) return lineOf(only)
  const cells = NAT_KINDS.map((from) => [
    from as string,
    ...NAT_KINDS.map((to) => cellOf(pairs.find((pair) => pair.from === from && pair.to === to))),
  ])
  const rows = [['', ...NAT_KINDS], ...cells]
  const width = Math.max(...rows.flat().map(({ length }) => length))
  const grid = rows.map((row) => `  ${row.map((cell) => cell.padEnd(width)).join('  ')}`.trimEnd())
  const told = pairs.filter(({ directMs }) => directMs === null).map((pair) => `  ${lineOf(pair)}`)
  return [...grid, ...told].join('\n')
}

function cellOf(pair: Pair | undefined): string {
  if (pair === undefined) return '-'
  const { directMs, answeredMs, how } = pair
  if (directMs !== null) return `direct ${Math.round(directMs)} ms ${how}`
  return answeredMs === null ? 'no answer' : `relayed ${Math.round(answeredMs)} ms`
}

function lineOf(pair: Pair): string {
  const { from, to, answeredMs, said, why, trouble } = pair
  const answered = answeredMs === null ? 'never answered' : `answered after ${Math.round(answeredMs)} ms`
  const because = why === null ? '' : `, because ${why}`
  const failed = trouble === null ? '' : `; a ping failed: ${trouble}`
  return `${from} to ${to}: ${cellOf(pair)}, ${answered}, says ${said}${because}${failed}`
}
