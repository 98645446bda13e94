import type { CommandEntry } from '../../command/index.ts'

export { nodeNames } from './names.ts'

export const memberCommands: CommandEntry[] = [
  {
    name: 'node list',
    aliases: ['nodes'],
    group: 'Nodes',
    summary: 'Nodes of the network and how they are reached',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
]
