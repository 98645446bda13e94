import type { CommandEntry } from '../../command/index.ts'

const group = 'Services'

/** Verbs on services and proxies. */
export const serviceCommands: readonly CommandEntry[] = [
  {
    name: 'service expose',
    aliases: ['expose'],
    group,
    summary: 'Let other nodes connect to a port of this one',
    load: () => import('./expose.ts').then((module) => module.exposeCommand),
  },
  {
    name: 'service unexpose',
    aliases: ['unexpose'],
    group,
    summary: 'Take a service back, and cut its connections',
    load: () => import('./unexpose.ts').then((module) => module.unexposeCommand),
  },
  {
    name: 'service list',
    aliases: ['services'],
    group,
    summary: 'Services of the connected nodes',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'proxy open',
    aliases: ['proxy'],
    group,
    summary: 'Reach a service of another node at a port of this machine',
    load: () => import('./proxy.ts').then((module) => module.proxyCommand),
  },
  {
    name: 'proxy list',
    aliases: ['proxies'],
    group,
    summary: 'Proxies that this node has open',
    load: () => import('./proxies.ts').then((module) => module.proxiesCommand),
  },
  {
    name: 'proxy close',
    group,
    summary: 'Close a proxy',
    load: () => import('./close.ts').then((module) => module.closeCommand),
  },
]
