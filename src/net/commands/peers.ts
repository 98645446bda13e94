import { defineCommand, flag } from '../../command/index.ts'
import { netContract } from '../contract.ts'
import { formatLatency, shortPeer } from './words.ts'

/** `warren peers` */
export const peersCommand = defineCommand({
  name: 'peer list',
  aliases: ['peers'],
  summary: 'Show the nodes that this one is connected with',
  options: { all: flag({ description: 'other libp2p programs too' }) },
  examples: [
    { does: 'show the connected nodes', words: 'peers' },
    { does: 'show them as another node sees them', words: 'peers --node burrow-2' },
  ],
  run: async ({ options, context }) => {
    const client = await context.connect()
    const peers = await client.call(netContract.list, { query: { all: options.all } }, { signal: context.signal })
    return {
      json: peers,
      human: {
        columns: [
          { title: 'NAME' },
          { title: 'PATH' },
          { title: 'RTT', align: 'right' },
          { title: 'ADDRESS' },
          { title: 'AGENT' },
          { title: 'ENCRYPTION' },
        ],
        rows: peers.map((peer) => [
          peer.name ?? shortPeer(peer.id),
          peer.path,
          formatLatency(peer.latency_ms),
          peer.address.replace(/\/p2p\/[^/]+$/, ''),
          peer.agent ?? '-',
          peer.encryption,
        ]),
        empty: 'Connected with no other node. Known nodes: warren nodes',
      },
    }
  },
})
