import type { CommandEntry } from '../../command/index.ts'

/** Verbs on the packages stored on a node. */
export const transferCommands: readonly CommandEntry[] = [
  {
    name: 'package list',
    aliases: ['packages'],
    group: 'Packages',
    summary: 'Show the packages stored on a node',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'package remove',
    group: 'Packages',
    summary: 'Remove a stored package that is not in use',
    load: () => import('./remove.ts').then((module) => module.removeCommand),
  },
]
