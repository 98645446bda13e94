import { completionScript, installHint, type Shell } from '../completion-scripts.ts'
import { type AnyCommand, defineCommand } from '../define.ts'

const PROGRAM = 'warren'

/** `completion bash|zsh|fish`. */
export function createScriptCommand(shell: Shell): AnyCommand {
  return defineCommand({
    name: `completion ${shell}`,
    summary: `Print the completion script for ${shell}`,
    description: installHint(shell, PROGRAM),
    examples: [{ does: `look at the script for ${shell}`, words: `completion ${shell}` }],
    run: async () => {
      const script = completionScript(shell, PROGRAM)
      return { json: { shell, script }, human: script.trimEnd() }
    },
  })
}
