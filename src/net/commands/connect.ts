import { defineCommand } from '../../command/index.ts'
import { netContract } from '../contract.ts'
import { describePath, formatLatency, shortPeer } from './words.ts'

/** `warren connect NODE|ADDRESS` */
export const connectCommand = defineCommand({
  name: 'peer connect',
  aliases: ['connect'],
  summary: 'Connect to a node or an address',
  description:
    'Lifts an earlier "warren disconnect". The connection is not made again after it is lost: see net.peers.',
  arguments: [{ name: 'target', description: 'name, id or beginning of an id, or a multiaddr', complete: 'node' }],
  examples: [
    { does: 'connect to a node of the network', words: 'connect burrow-2' },
    { does: 'connect to an address', words: 'connect /ip4/192.0.2.7/tcp/9010' },
  ],
  run: async ({ args, context }) => {
    const client = await context.connect()
    const peer = await client.call(netContract.connect, { body: { node: args.target } }, { signal: context.signal })
    const who = peer.name ?? shortPeer(peer.id)
    return { json: peer, human: `connected with ${who}, ${describePath(peer)}, ${formatLatency(peer.latency_ms)}` }
  },
})
