import type { CommandEntry } from './entry.ts'

/** What to show for a word that names several commands, or for none: the commands, grouped. */
export function listHelp(entries: readonly CommandEntry[], prefix: string): string {
  const shown = entries.filter(
    ({ name, hidden }) => hidden !== true && (prefix === '' || name.startsWith(`${prefix} `)),
  )
  const width = Math.max(...shown.map((entry) => titleOf(entry).length))
  const groups = new Map<string, string[]>()
  for (const entry of shown) {
    const group = prefix === '' ? (entry.group ?? 'More') : `warren ${prefix}`
    groups.set(group, [...(groups.get(group) ?? []), `  ${titleOf(entry).padEnd(width)}  ${entry.summary}`])
  }
  const body = [...groups].map(([group, lines]) => `${group}:\n${lines.join('\n')}`).join('\n\n')
  const head =
    prefix === ''
      ? 'warren: run your apps on your own machines, peer to peer\n\nUsage: warren COMMAND [OPTIONS]\n\n'
      : ''
  return `${head}${body}\n\nHelp on one of them, with examples: warren ${prefix === '' ? '' : `${prefix} `}COMMAND --help`
}

/** The names nearest to a mistyped one, best first, at most three. */
export function nearest(word: string, names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, distance: editDistance(word, name) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name)
}

function titleOf({ name, aliases }: CommandEntry): string {
  const short = aliases?.filter((alias) => !alias.includes(' ')) ?? []
  return short.length === 0 ? name : short.join(', ')
}

/** Levenshtein distance with adjacent swaps counted as one edit. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min(change, (last[j] as number) + 1, (row[j - 1] as number) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] as number) + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length] as number
}
