import { defineCommand, printable } from '../../command/index.ts'
import { dhtContract } from '../dht/contract.ts'
import { withoutName } from './words.ts'

/** `warren bootstrap` */
export const bootstrapCommand = defineCommand({
  name: 'peer bootstrap',
  aliases: ['bootstrap'],
  summary: 'Join the private table of the network',
  description:
    'Connects with the configured relays and peers and with known nodes, and looks around from there. A running node does so by itself; this helps one that has found nobody.',
  examples: [
    { does: 'look for other nodes now', words: 'bootstrap' },
    { does: 'let another node look', words: 'bootstrap --node burrow-2' },
  ],
  run: async ({ context }) => {
    const client = await context.connect()
    const outcome = await client.call(dhtContract.bootstrap, {}, { signal: context.signal })
    const { contacts, tried } = outcome
    const failed = tried.filter(({ error }) => error !== null)
    const lines = [
      `joined with ${contacts} ${contacts === 1 ? 'contact' : 'contacts'}, asked ${tried.length - failed.length} of ${tried.length} known nodes`,
      ...failed.map(({ seed, name, error }) =>
        printable(`  ✗ ${name ?? seed}  ${withoutName(error ?? '', name ?? seed)}`),
      ),
    ]
    if (tried.length === 0) lines.push('No relay, peer or node is known: see relay.servers and net.peers')
    return { json: outcome, human: lines.join('\n') }
  },
})
