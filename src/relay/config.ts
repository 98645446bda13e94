import { z } from 'zod'
import { defineSection, durationField, sizeField } from '../config/index.ts'
import { parseEndpoint } from './endpoint.ts'

const count = (fallback: number) => z.int().min(1).max(100_000).default(fallback)

/** The section `relay:` of the config. */
export const relaySection = defineSection({
  name: 'relay',
  description: 'Relays: nodes over which others reach each other where no direct way is found.',
  schema: z
    .strictObject({
      serve: z
        .enum(['auto', 'always', 'never'])
        .default('auto')
        .describe(
          'Serve as a relay: where the role of this node is relay or others can dial it (auto), always, or never.',
        ),
      servers: z
        .array(z.string().regex(/^\/.+\/p2p\/[^/]+$/, 'must be a multiaddr that ends with /p2p/ID'))
        .default([])
        .describe(
          'Relays to use before those that the network knows by itself, as multiaddrs with /p2p/ID, best first.',
        ),
      access: z
        .enum(['members', 'network'])
        .default('members')
        .describe('Who may use this relay: nodes of the roster (members), or all who prove the network key (network).'),
      max_reservations: count(64).describe('Nodes that may be reached over this relay at a time.'),
      max_circuits: count(512).describe('Relayed connections at a time, of all nodes together.'),
      circuits_per_peer: count(16).describe('Relayed connections at a time that begin or end at one node.'),
      circuit_bytes: sizeField('2GiB').describe(
        'Bytes that one relayed connection may carry, both ways together; 0B is no limit. At the limit it is ended and made anew.',
      ),
      circuit_time: durationField('2h').describe('How long one relayed connection may last; 0s is no limit.'),
      rate_per_peer: sizeField('0B').describe(
        'Bytes a second of one node, sent and received together; 0B is no limit. Who is faster waits, nothing is lost.',
      ),
      health: z
        .string()
        .refine((text) => text === '' || parseEndpoint(text) !== undefined, {
          error: 'must be HOST:PORT such as 127.0.0.1:9091, or empty',
        })
        .default('')
        .describe(
          'Address of a page for monitors, /healthz and /metrics, as HOST:PORT; empty: none. On a wildcard address /metrics is for this machine alone.',
        ),
    })
    .prefault({}),
})
