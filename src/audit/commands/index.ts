import type { CommandEntry } from '../../command/index.ts'

export const auditCommands: CommandEntry[] = [
  {
    name: 'audit tail',
    aliases: ['audit'],
    group: 'Trust',
    summary: 'What was decided and changed on a node, by whom',
    load: () => import('./tail.ts').then((module) => module.tailCommand),
  },
  {
    name: 'audit verify',
    group: 'Trust',
    summary: 'Whether the audit log was edited or cut',
    load: () => import('./verify.ts').then((module) => module.verifyCommand),
  },
  {
    name: 'audit heads',
    group: 'Trust',
    summary: 'What this node keeps of the audit logs of others',
    load: () => import('./heads.ts').then((module) => module.headsCommand),
  },
]
