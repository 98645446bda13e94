import { version } from '../../base/version.ts'
import { defineCommand } from '../../command/index.ts'

export const versionCommand = defineCommand({
  name: 'version',
  summary: 'Which release this is',
  examples: [{ does: 'for a script', words: 'version --json' }],
  run: async () => ({ json: { version, node: process.version }, human: `warren ${version}` }),
})
