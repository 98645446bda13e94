import type { NameScope } from '../complete.ts'
import type { CommandContext } from '../define.ts'
import type { CommandEntry } from '../entry.ts'

/** Gives the names of nodes or apps, for a line that may name another home or node than the context does. */
export type NameSource = (kind: 'node' | 'app', scope: NameScope, context: CommandContext) => Promise<readonly string[]>

/**
 * The commands that make shells complete the words of the program: over all its entries, these ones included, and the
 * names that `names` finds (none by default).
 */
export function completionCommands(
  entries: () => readonly CommandEntry[],
  names: NameSource = async () => [],
): CommandEntry[] {
  const scripts = (['bash', 'zsh', 'fish'] as const).map(
    (shell): CommandEntry => ({
      name: `completion ${shell}`,
      summary: `Print the completion script for ${shell}`,
      group: 'Settings',
      load: () => import('./script.ts').then((m) => m.createScriptCommand(shell)),
    }),
  )
  const answer: CommandEntry = {
    name: '__complete',
    summary: 'Print what can stand in place of the last word',
    hidden: true,
    load: () => import('./complete.ts').then((m) => m.createCompleteCommand(entries, names)),
  }
  return [...scripts, answer]
}
