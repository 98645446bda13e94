import type { CommandEntry } from '../../command/index.ts'

/** Verbs on peers (NET-9). */
export const netCommands: readonly CommandEntry[] = [
  {
    name: 'peer list',
    aliases: ['peers'],
    group: 'Nodes',
    summary: 'Show the nodes that this one is connected with',
    load: () => import('./peers.ts').then((module) => module.peersCommand),
  },
  {
    name: 'peer ping',
    aliases: ['ping'],
    group: 'Nodes',
    summary: 'Measure the round trip to a node',
    load: () => import('./ping.ts').then((module) => module.pingCommand),
  },
  {
    name: 'peer connect',
    aliases: ['connect'],
    group: 'Nodes',
    summary: 'Connect to a node or an address',
    load: () => import('./connect.ts').then((module) => module.connectCommand),
  },
  {
    name: 'peer disconnect',
    aliases: ['disconnect'],
    group: 'Nodes',
    summary: 'Close the connections with a node',
    load: () => import('./disconnect.ts').then((module) => module.disconnectCommand),
  },
  {
    name: 'peer bootstrap',
    aliases: ['bootstrap'],
    group: 'Nodes',
    summary: 'Join the private table of the network',
    load: () => import('./bootstrap.ts').then((module) => module.bootstrapCommand),
  },
]
