import type { CommandEntry } from '../../command/index.ts'

/** The commands `deploy`, `run` and `rollout …`. */
export const rolloutCommands: CommandEntry[] = [
  {
    name: 'deploy',
    aliases: ['rollout start'],
    group: 'Apps',
    summary: 'Send an app to nodes, start it there, and wait until it is healthy',
    load: () => import('./deploy.ts').then((module) => module.deployCommand),
  },
  {
    name: 'app upgrade',
    group: 'Apps',
    summary: 'Deploy another version of an app to the nodes that have it',
    load: () => import('./upgrade.ts').then((module) => module.upgradeCommand),
  },
  {
    name: 'run',
    group: 'Apps',
    summary: 'Pack a folder, deploy it and follow its logs',
    load: () => import('./run.ts').then((module) => module.runCommand),
  },
  {
    name: 'rollout list',
    aliases: ['rollouts'],
    group: 'Apps',
    summary: 'Rollouts that this node knows, newest first',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'rollout status',
    group: 'Apps',
    summary: 'One rollout, node by node',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
  {
    name: 'rollout watch',
    group: 'Apps',
    summary: 'Follow a rollout to its end',
    load: () => import('./watch.ts').then((module) => module.watchCommand),
  },
  {
    name: 'rollout halt',
    group: 'Apps',
    summary: 'Stop a rollout before it reaches more nodes',
    load: () => import('./halt.ts').then((module) => module.haltCommand),
  },
]
