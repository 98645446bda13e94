import type { CommandEntry } from '../../command/index.ts'

/** The commands of packages; all work on files, with no daemon. */
export const bundleCommands: CommandEntry[] = [
  {
    name: 'pack',
    group: 'Packages',
    summary: 'Pack a folder or a program into a signed package',
    load: () => import('./pack.ts').then((module) => module.packCommand),
  },
  {
    name: 'sign',
    group: 'Packages',
    summary: 'Add your signature to a package',
    load: () => import('./sign.ts').then((module) => module.signCommand),
  },
  {
    name: 'verify',
    group: 'Packages',
    summary: 'Check a package’s bytes and signatures',
    load: () => import('./verify.ts').then((module) => module.verifyCommand),
  },
  {
    name: 'inspect',
    group: 'Packages',
    summary: 'Show what is in a package',
    load: () => import('./inspect.ts').then((module) => module.inspectCommand),
  },
  {
    name: 'init app',
    group: 'Packages',
    summary: 'Write a starter app that packs and runs as it is',
    load: () => import('./init-app.ts').then((module) => module.initAppCommand),
  },
]
