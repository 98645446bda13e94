import type { NameScope } from '../complete.ts'
import type { CommandContext } from '../define.ts'
import type { CommandEntry } from '../entry.ts'

export interface CompletionInput {
  /** Every command of the program, these ones included. */
  readonly entries: () => readonly CommandEntry[]
  /** Names of nodes and apps, for a line that may name another home or node than the context. */
  readonly names: (kind: 'node' | 'app', scope: NameScope, context: CommandContext) => Promise<readonly string[]>
}

/** The commands that make shells complete the words of the program. */
export function completionCommands(input: CompletionInput): CommandEntry[] {
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
    load: () => import('./complete.ts').then((m) => m.createCompleteCommand(input)),
  }
  return [...scripts, answer]
}
