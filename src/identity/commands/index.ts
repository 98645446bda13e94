import type { CommandEntry } from '../../command/index.ts'

/** Verbs on keys. They work on files alone, with or without a daemon. */
export const identityCommands: readonly CommandEntry[] = [
  {
    name: 'keygen',
    group: 'Keys',
    summary: 'Make a key for signing packages',
    load: () => import('./keygen.ts').then((module) => module.keygenCommand),
  },
  {
    name: 'key list',
    group: 'Keys',
    summary: 'Show whose packages this node accepts',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'key trust',
    group: 'Keys',
    summary: 'Accept packages signed by a key, on this node',
    load: () => import('./trust.ts').then((module) => module.trustCommand),
  },
  {
    name: 'psk',
    group: 'Keys',
    summary: 'Make a network key',
    load: () => import('./psk.ts').then((module) => module.pskCommand),
  },
]
