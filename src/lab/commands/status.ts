import { defineCommand } from '../../command/index.ts'
import { labStatus } from '../index.ts'

export const statusCommand = defineCommand({
  name: 'lab status',
  summary: 'Show the nodes of the lab',
  examples: [{ does: 'which nodes run, and whether they see each other', words: 'lab status' }],
  async run({ context }) {
    const nodes = await labStatus({
      home: context.home,
      run: { program: context.program, env: context.env, signal: context.signal },
    })
    return {
      json: { nodes },
      human: {
        columns: [{ title: 'NAME' }, { title: 'STATE' }, { title: 'SEES', align: 'right' }, { title: 'HOME' }],
        rows: nodes.map(({ name, state, peers, home }) => [name, state, `${peers} of ${nodes.length - 1}`, home]),
      },
    }
  },
})
