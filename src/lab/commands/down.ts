import { defineCommand } from '../../command/index.ts'
import { downLab } from '../index.ts'

export const downCommand = defineCommand({
  name: 'lab down',
  summary: 'Stop the lab, its apps and its daemons, and delete it',
  examples: [{ does: 'leave nothing behind', words: 'lab down' }],
  async run({ context }) {
    const lab = { home: context.home, run: { program: context.program, env: context.env, signal: context.signal } }
    const names = await downLab(lab, (step) => context.progress.show([`  lab      ${step}`]))
    return { json: { stopped: names }, human: `lab down: ${names.join(', ')} stopped and deleted` }
  },
})
