import type { CommandContext, CommandEntry, TokenNodeOptions } from '../../command/index.ts'

const group = 'Daemon'

/** Every section of the config, loaded when a command asks. */
export const configSections = () => import('../sections.ts').then((module) => module.sections)

/** Starts the daemon of the home in the background; see `startInBackground`. */
export const startDaemon = async (context: CommandContext): Promise<number> =>
  (await import('./control.ts')).startInBackground(context)

/** The node of a deploy token, in this process; see `startTokenNode` of the daemon. */
export const startTokenNode = async (token: string, options: TokenNodeOptions) =>
  (await import('../token-node.ts')).startTokenNode(token, options)

export const daemonCommands: CommandEntry[] = [
  {
    name: 'version',
    group,
    summary: 'Which release this is',
    load: () => import('./version.ts').then((module) => module.versionCommand),
  },
  {
    name: 'init',
    group: 'First steps',
    summary: 'Make a network and its first node, on this machine',
    load: () => import('./init.ts').then((module) => module.initCommand),
  },
  {
    name: 'daemon status',
    aliases: ['status'],
    group,
    summary: 'This node at a glance',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
  {
    name: 'daemon doctor',
    aliases: ['doctor'],
    group,
    summary: 'Look for what is wrong with this node, and say how to mend it',
    load: () => import('./doctor.ts').then((module) => module.doctorCommand),
  },
  {
    name: 'daemon start',
    group,
    summary: 'Start the daemon in the background',
    load: () => import('./start.ts').then((module) => module.startCommand),
  },
  {
    name: 'daemon stop',
    group,
    summary: 'Stop the daemon; apps go on running',
    load: () => import('./stop.ts').then((module) => module.stopCommand),
  },
  {
    name: 'daemon restart',
    group,
    summary: 'Stop the daemon and start it again',
    load: () => import('./restart.ts').then((module) => module.restartCommand),
  },
  {
    name: 'daemon run',
    group,
    summary: 'Run the daemon in the foreground',
    load: () => import('./run.ts').then((module) => module.runCommand),
  },
]
