import { defineCommand, printable } from '../../command/index.ts'
import { serviceContract } from '../contract.ts'

export const unexposeCommand = defineCommand({
  name: 'service unexpose',
  aliases: ['unexpose'],
  summary: 'Take a service back, and cut its connections',
  arguments: [{ name: 'name', description: 'name of the service' }],
  examples: [{ does: 'nobody may connect any more', words: 'unexpose postgres' }],
  async run({ args, context }) {
    const client = await context.connect()
    const input = { params: { service: args.name } }
    const gone = await client.call(serviceContract.unexpose, input, { signal: context.signal })
    const cut = gone.cut === 0 ? '' : `, ${gone.cut} ${gone.cut === 1 ? 'connection' : 'connections'} cut`
    return { json: gone, human: printable(`${gone.name} is exposed no longer${cut}`) }
  },
})
