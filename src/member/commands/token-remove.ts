import { defineCommand, printable } from '../../command/index.ts'
import { tokenContract } from '../contract.ts'

export const tokenRemoveCommand = defineCommand({
  name: 'token remove',
  summary: 'Make a deploy token stop working, for good',
  description: 'Every node refuses it within seconds; the network key, which its holder had, is changed.',
  arguments: [{ name: 'name', description: 'name of the token: see warren tokens' }],
  examples: [{ does: 'a token that leaked', words: 'token remove ci' }],
  async run({ args, context }) {
    const { signal, style } = context
    const client = await context.connect()
    const removal = await client.call(tokenContract.remove, { params: { token: args.name } }, { signal })
    const said = `${printable(removal.name)} works no more`
    if (removal.problem === null) return { json: removal, human: said }
    const human = [
      said,
      `${style.yellow('look at')}  the network key is the old one still: ${printable(removal.problem)}`,
      '         Change it: warren trust rotate-key',
    ].join('\n')
    return { json: removal, human, exitCode: 1 }
  },
})
