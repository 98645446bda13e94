import type { CommandEntry } from '../../command/index.ts'

export { appNames } from './names.ts'

const group = 'Apps'

export const appCommands: CommandEntry[] = [
  {
    name: 'app list',
    aliases: ['list'],
    group,
    summary: 'Apps across the nodes',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'app logs',
    aliases: ['logs'],
    group,
    summary: 'Lines that an app wrote, from every node that runs it',
    load: () => import('./logs.ts').then((module) => module.logsCommand),
  },
  {
    name: 'app status',
    group,
    summary: 'All about an app on its nodes',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
  {
    name: 'app start',
    aliases: ['start'],
    group,
    summary: 'Start an app that was stopped',
    load: () => import('./start.ts').then((module) => module.startCommand),
  },
  {
    name: 'app stop',
    aliases: ['stop'],
    group,
    summary: 'Stop an app; it stays stopped',
    load: () => import('./stop.ts').then((module) => module.stopCommand),
  },
  {
    name: 'app restart',
    aliases: ['restart'],
    group,
    summary: 'Stop an app and start it again',
    load: () => import('./restart.ts').then((module) => module.restartCommand),
  },
  {
    name: 'app remove',
    aliases: ['remove'],
    group,
    summary: 'Stop an app and remove it; its data stays',
    load: () => import('./remove.ts').then((module) => module.removeCommand),
  },
  {
    name: 'app versions',
    group,
    summary: 'Installed versions of an app',
    load: () => import('./versions.ts').then((module) => module.versionsCommand),
  },
  {
    name: 'app switch',
    group,
    summary: 'Run another installed version of an app',
    load: () => import('./switch.ts').then((module) => module.switchCommand),
  },
  {
    name: 'app rollback',
    aliases: ['rollback'],
    group,
    summary: 'Run the version of an app that was active before',
    load: () => import('./rollback.ts').then((module) => module.rollbackCommand),
  },
  {
    name: 'app history',
    group,
    summary: 'Deploys, switches and rollbacks of an app',
    load: () => import('./history.ts').then((module) => module.historyCommand),
  },
]
