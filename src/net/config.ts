import { z } from 'zod'
import { defineSection, pathField, secretField } from '../config/index.ts'

const addresses = (fallback: string[]) => z.array(z.string().startsWith('/', 'must be a multiaddr')).default(fallback)

/** The section `net:` of the config. */
export const netSection = defineSection({
  name: 'net',
  description: 'How this node is reached, and which nodes it connects with.',
  schema: z
    .strictObject({
      listen: addresses(['/ip4/0.0.0.0/tcp/9010', '/ip6/::/tcp/9010']).describe(
        'Addresses to listen on, as multiaddrs.',
      ),
      announce: addresses([]).describe(
        'Further addresses under which this node can be reached, such as that of a router.',
      ),
      peers: addresses([]).describe(
        'Nodes to stay connected with, as multiaddrs; /p2p/ID at the end makes sure that it is that node.',
      ),
      mdns: z.boolean().default(true).describe('Find nodes of this network on the local network, and be found there.'),
      gate: z
        .enum(['roster', 'network', 'open'])
        .default('roster')
        .describe(
          'Who may connect: nodes of the roster and of authorized_peers (roster), or all who prove the network key (network, open).',
        ),
      network_key: secretField(/^[0-9a-f]{64}$/i, 'must be 64 hex digits').describe(
        'The network key, 64 hex digits, in place of keys/network.key.',
      ),
      authorized_peers: pathField('authorized_peers').describe(
        'File with peer ids that may connect besides those in the roster, one a line.',
      ),
    })
    .prefault({}),
})
