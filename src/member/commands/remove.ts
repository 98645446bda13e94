import { defineCommand, flag, printable } from '../../command/index.ts'
import { memberContract } from '../contract.ts'
import { describeLeftBehind } from './left-behind.ts'
import { confirmAtTerminal } from './terminal.ts'

export const removeCommand = defineCommand({
  name: 'node remove',
  summary: 'Remove a node from the network, for good',
  description:
    'Every node closes its connections with it and stops what it was being served, within seconds; the network key is changed. That identity can never come back: the machine would join anew, under a new one. Its apps go on running there. On a terminal it asks first.',
  arguments: [{ name: 'node', description: 'name or id of the node', complete: 'node' }],
  options: { yes: flag({ short: 'y', description: 'do not ask' }) },
  examples: [
    { does: 'a machine that was lost', words: 'node remove pi' },
    { does: 'in a script', words: 'node remove pi --yes' },
  ],
  async run({ args, options, context }) {
    const { signal, style } = context
    const client = await context.connect()
    const params = { node: args.node }
    const { name, role, id } = await client.call(memberContract.info, { params }, { signal })
    const question = `Remove ${printable(name)} (${role}, …${id.slice(-8)}) for good?`
    if (!options.yes) await confirmAtTerminal(context, question)
    const removal = await client.call(memberContract.remove, { params: { node: id } }, { signal })
    if (removal.problem === null) {
      const done = `${printable(name)} was removed; the network key is now number ${removal.network_key}`
      const left = role === 'admin' && (await describeLeftBehind(client, { admins: [{ id, name }], signal }))
      return { json: removal, human: left ? `${done}\n${left}` : done }
    }
    const human = [
      `${printable(name)} was removed`,
      `${style.yellow('look at')}  the network key is the old one still: ${printable(removal.problem)}`,
      '         Change it: warren trust rotate-key',
    ].join('\n')
    return { json: removal, human, exitCode: 1 }
  },
})
