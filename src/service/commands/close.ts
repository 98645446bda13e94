import { defineCommand, printable } from '../../command/index.ts'
import { serviceContract } from '../contract.ts'

export const closeCommand = defineCommand({
  name: 'proxy close',
  summary: 'Close a proxy',
  description: 'Its connections are cut, and a kept one does not come back.',
  arguments: [{ name: 'proxy', description: 'id of the proxy, or all' }],
  examples: [
    { does: 'one', words: 'proxy close p1f0c' },
    { does: 'each', words: 'proxy close all' },
  ],
  async run({ args, context }) {
    const client = await context.connect()
    const input = { params: { proxy: args.proxy } }
    const { closed } = await client.call(serviceContract.close, input, { signal: context.signal })
    return { json: { closed }, human: closed.length === 0 ? 'none was open' : printable(`closed ${closed.join(', ')}`) }
  },
})
