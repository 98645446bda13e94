import { complete } from '../complete.ts'
import { type AnyCommand, defineCommand } from '../define.ts'
import type { CommandEntry } from '../entry.ts'
import type { NameSource } from './index.ts'

/** `__complete`, which the completion scripts call. */
export function createCompleteCommand(entries: () => readonly CommandEntry[], names: NameSource): AnyCommand {
  return defineCommand({
    name: '__complete',
    summary: 'Print what can stand in place of the last word',
    arguments: [{ name: 'words', description: 'words up to the cursor', optional: true, rest: true }],
    examples: [{ does: 'what can follow "warren config"', words: "__complete -- config ''" }],
    hidden: true,
    run: async ({ args, context }) => {
      const { candidates, files } = await complete({
        entries: entries(),
        words: (args.words as string[] | undefined) ?? [],
        names: (kind, scope) => names(kind, scope, context),
      })
      const lines = candidates.map(({ value, description }) => `${value}\t${description.replaceAll(/\s+/g, ' ')}`)
      return { json: { candidates, files }, human: [`:${files}`, ...lines].join('\n') }
    },
  })
}
