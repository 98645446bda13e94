import type { CommandEntry } from '../../command/index.ts'

/** Verbs on keys and policies. */
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
    summary: 'Accept packages signed by a key, in the whole network or on this node',
    load: () => import('./trust.ts').then((module) => module.trustCommand),
  },
  {
    name: 'key rotate',
    group: 'Keys',
    summary: 'Let another signing key follow one, with an overlap',
    load: () => import('./rotate.ts').then((module) => module.rotateCommand),
  },
  {
    name: 'key revoke',
    group: 'Keys',
    summary: 'Revoke a signing key in the whole network, for good',
    load: () => import('./revoke.ts').then((module) => module.revokeCommand),
  },
  {
    name: 'key protect',
    group: 'Keys',
    summary: 'Protect a private key by a passphrase, or change it',
    load: () => import('./protect.ts').then((module) => module.protectCommand),
  },
  {
    name: 'key unprotect',
    group: 'Keys',
    summary: 'Take the passphrase off a private key',
    load: () => import('./unprotect.ts').then((module) => module.unprotectCommand),
  },
  {
    name: 'key unlock',
    group: 'Keys',
    summary: 'Open the authority key of this node until its daemon ends',
    load: () => import('./unlock.ts').then((module) => module.unlockCommand),
  },
  {
    name: 'policy set',
    group: 'Keys',
    summary: 'Say what some packages need on some nodes',
    load: () => import('./policy-set.ts').then((module) => module.policySetCommand),
  },
  {
    name: 'policy list',
    aliases: ['policies'],
    group: 'Keys',
    summary: 'Show what packages need beyond a trusted signature',
    load: () => import('./policy-list.ts').then((module) => module.policyListCommand),
  },
  {
    name: 'policy remove',
    group: 'Keys',
    summary: 'End a policy',
    load: () => import('./policy-remove.ts').then((module) => module.policyRemoveCommand),
  },
  {
    name: 'psk',
    group: 'Keys',
    summary: 'Make a network key',
    load: () => import('./psk.ts').then((module) => module.pskCommand),
  },
]
