import type { CommandEntry } from '../../command/index.ts'
import type { JoinInit } from './join.ts'

export { nodeNames } from './names.ts'

const group = 'Nodes'
const trust = 'Trust'

/** `node join`, which writes a config and starts a daemon: both are others' work. */
export function joinCommands(init: JoinInit): CommandEntry[] {
  return [
    {
      name: 'node join',
      aliases: ['join'],
      group: 'First steps',
      summary: 'Join a network by a code that one of its admins made',
      load: () => import('./join.ts').then((module) => module.createJoinCommand(init)),
    },
  ]
}

export const memberCommands: CommandEntry[] = [
  {
    name: 'node list',
    aliases: ['nodes'],
    group,
    summary: 'Nodes of the network and how they are reached',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'node info',
    group,
    summary: 'All that the network knows of a node',
    load: () => import('./info.ts').then((module) => module.infoCommand),
  },
  {
    name: 'node invite',
    aliases: ['invite'],
    group,
    summary: 'Make a code with which a machine joins the network',
    load: () => import('./invite.ts').then((module) => module.inviteCommand),
  },
  {
    name: 'node invites',
    aliases: ['invites'],
    group,
    summary: 'Join codes that were made, and who joined by them',
    load: () => import('./invites.ts').then((module) => module.invitesCommand),
  },
  {
    name: 'node uninvite',
    aliases: ['uninvite'],
    group,
    summary: 'Make a join code stop working',
    load: () => import('./uninvite.ts').then((module) => module.uninviteCommand),
  },
  {
    name: 'node add',
    group,
    summary: 'Add a node by its id, or confirm one that waits',
    load: () => import('./add.ts').then((module) => module.addCommand),
  },
  {
    name: 'node remove',
    group,
    summary: 'Remove a node from the network, for good',
    load: () => import('./remove.ts').then((module) => module.removeCommand),
  },
  {
    name: 'node rename',
    group,
    summary: 'Give a node another name',
    load: () => import('./rename.ts').then((module) => module.renameCommand),
  },
  {
    name: 'node label',
    group,
    summary: 'Set and remove labels of a node',
    load: () => import('./label.ts').then((module) => module.labelCommand),
  },
  {
    name: 'node grant',
    aliases: ['grant'],
    group: trust,
    summary: 'Give a node a role, or a right on some apps',
    load: () => import('./grant.ts').then((module) => module.grantCommand),
  },
  {
    name: 'node revoke',
    aliases: ['revoke'],
    group: trust,
    summary: 'Take rights of a node back',
    load: () => import('./revoke.ts').then((module) => module.revokeCommand),
  },
  {
    name: 'token create',
    group: trust,
    summary: 'Make a deploy token, for CI',
    load: () => import('./token-create.ts').then((module) => module.tokenCreateCommand),
  },
  {
    name: 'token list',
    aliases: ['tokens'],
    group: trust,
    summary: 'Deploy tokens of the network',
    load: () => import('./token-list.ts').then((module) => module.tokenListCommand),
  },
  {
    name: 'token remove',
    group: trust,
    summary: 'Make a deploy token stop working, for good',
    load: () => import('./token-remove.ts').then((module) => module.tokenRemoveCommand),
  },
  {
    name: 'trust status',
    group: trust,
    summary: 'What this node believes of its network, and how fresh that is',
    load: () => import('./trust-status.ts').then((module) => module.trustStatusCommand),
  },
  {
    name: 'trust log',
    group: trust,
    summary: 'What the admins have signed, in words',
    load: () => import('./trust-log.ts').then((module) => module.trustLogCommand),
  },
  {
    name: 'trust rotate-key',
    group: trust,
    summary: 'Change the network key',
    load: () => import('./trust-rotate-key.ts').then((module) => module.trustRotateKeyCommand),
  },
  {
    name: 'trust recover',
    group: trust,
    summary: 'Make this node an admin by the recovery phrase, and put thieves out',
    load: () => import('./trust-recover.ts').then((module) => module.trustRecoverCommand),
  },
  {
    name: 'trust checkpoint',
    group: trust,
    summary: 'Let the network forget what no longer counts',
    load: () => import('./trust-checkpoint.ts').then((module) => module.trustCheckpointCommand),
  },
  {
    name: 'trust export',
    group: trust,
    summary: 'Everything that the admins have signed, for a node that cannot be reached',
    load: () => import('./trust-export.ts').then((module) => module.trustExportCommand),
  },
  {
    name: 'trust import',
    group: trust,
    summary: 'Take in what another node has exported',
    load: () => import('./trust-import.ts').then((module) => module.trustImportCommand),
  },
  {
    name: 'trust accept-head',
    group: trust,
    summary: 'Say that nothing that this admin has signed is missing in its home',
    load: () => import('./trust-accept-head.ts').then((module) => module.trustAcceptHeadCommand),
  },
]
