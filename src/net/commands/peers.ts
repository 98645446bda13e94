import { defineCommand, flag, printable } from '../../command/index.ts'
import { netContract, type PeerView } from '../contract.ts'
import { describePath, formatLatency, shortPeer } from './words.ts'

/** `warren peers` */
export const peersCommand = defineCommand({
  name: 'peer list',
  aliases: ['peers'],
  summary: 'Show the nodes that this one is connected with',
  description: 'Says for each how it is reached, and where that is over a relay, why not directly.',
  options: { all: flag({ description: 'other libp2p programs too' }) },
  examples: [
    { does: 'show the connected nodes', words: 'peers' },
    { does: 'show them as another node sees them', words: 'peers --node burrow-2' },
  ],
  run: async ({ options, context }) => {
    const client = await context.connect()
    const peers = await client.call(netContract.list, { query: { all: options.all } }, { signal: context.signal })
    const someRelayed = peers.some(({ why }) => why !== null)
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
          ...(someRelayed ? [{ title: 'WHY NOT DIRECT' }] : []),
        ],
        rows: peers.map((peer) => [
          printable(peer.name ?? shortPeer(peer.id)),
          describePath(peer),
          formatLatency(peer.latency_ms),
          printable(shortAddress(peer)),
          printable(peer.agent ?? '-'),
          peer.key_exchange === null ? peer.encryption : `${peer.encryption}, ${peer.key_exchange}`,
          ...(someRelayed ? [printable(peer.why ?? '')] : []),
        ]),
        empty: 'Connected with no other node. Known nodes: warren nodes',
      },
    }
  },
})

/** Of a relayed one the relay's, for the peer's own is not known. */
function shortAddress({ address }: PeerView): string {
  return address.replace(/\/p2p\/.*$/, '')
}
