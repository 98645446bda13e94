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
      transports: z
        .array(z.enum(['tls', 'noise', 'websocket']))
        .min(1)
        .default(['tls', 'noise', 'websocket'])
        .describe('Ways of securing a connection, in the order in which they are tried; what is left out is not used.'),
      tls_certificate: z
        .string()
        .default('')
        .describe('PEM file with the certificate that addresses with /tls/ws show; empty: a self-signed one.'),
      tls_key: z.string().default('').describe('PEM file with the key of that certificate.'),
      force_reachability: z
        .enum(['auto', 'public', 'private'])
        .default('auto')
        .describe('Whether others can dial this node: found out by asking them (auto), or as it says here.'),
      stun_servers: z
        .array(z.string().regex(/^(\[[0-9a-f:]+\]|[^\s:[\]]+):\d{1,5}$/i, 'must be HOST:PORT'))
        .default([])
        .describe(
          'STUN servers that tell how this node is seen from outside, as HOST:PORT, besides the relays in use.',
        ),
      port_mapping: z
        .boolean()
        .default(false)
        .describe('Ask the router (UPnP, NAT-PMP) to forward the ports of this node.'),
      dht: z.boolean().default(true).describe('Take part in the private table of who has what and is where.'),
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
