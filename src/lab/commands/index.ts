import type { CommandEntry } from '../../command/index.ts'

export { firstLabHome } from '../lab-file.ts'

export const labCommands: CommandEntry[] = [
  {
    name: 'demo',
    group: 'First steps',
    summary: 'See it all work on this machine, in half a minute',
    load: () => import('./demo.ts').then((module) => module.demoCommand),
  },
  {
    name: 'lab up',
    group: 'First steps',
    summary: 'Bring up a fleet of real nodes on this machine',
    load: () => import('./up.ts').then((module) => module.upCommand),
  },
  {
    name: 'lab status',
    group: 'First steps',
    summary: 'Show the nodes of the lab',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
  {
    name: 'lab down',
    group: 'First steps',
    summary: 'Stop the lab, its apps and its daemons, and delete it',
    load: () => import('./down.ts').then((module) => module.downCommand),
  },
]
