import { defineCommand } from '../../command/index.ts'
import { netContract } from '../contract.ts'
import { shortPeer } from './words.ts'

/** `warren disconnect NODE` */
export const disconnectCommand = defineCommand({
  name: 'peer disconnect',
  aliases: ['disconnect'],
  summary: 'Close the connections with a node',
  description: 'The node stays disconnected until "warren connect", or until the daemon starts again.',
  arguments: [{ name: 'node', description: 'name, id or unique beginning of an id', complete: 'node' }],
  examples: [{ does: 'close the connection with a node', words: 'disconnect burrow-2' }],
  run: async ({ args, context }) => {
    const client = await context.connect()
    const outcome = await client.call(netContract.disconnect, { body: { node: args.node } }, { signal: context.signal })
    const who = outcome.name ?? shortPeer(outcome.id)
    const did = outcome.closed === 0 ? 'was not connected' : 'disconnected'
    return { json: outcome, human: `${who} ${did}; to connect again: warren connect ${outcome.name ?? outcome.id}` }
  },
})
