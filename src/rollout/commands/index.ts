import type { CommandEntry } from '../../command/index.ts'

/** The commands `deploy`, `run` and `rollout …`. */
export const rolloutCommands: CommandEntry[] = [
  {
    name: 'deploy',
    summary: 'Send an app to nodes, start it there, and wait until it is healthy',
    load: () => import('./deploy.ts').then((module) => module.deployCommand),
  },
  {
    name: 'run',
    summary: 'Pack a folder, deploy it and follow its logs',
    load: () => import('./run.ts').then((module) => module.runCommand),
  },
  {
    name: 'rollout list',
    aliases: ['rollouts'],
    summary: 'Rollouts that this node knows, newest first',
    load: () => import('./list.ts').then((module) => module.listCommand),
  },
  {
    name: 'rollout status',
    summary: 'One rollout, node by node',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
  {
    name: 'rollout watch',
    summary: 'Follow a rollout to its end',
    load: () => import('./watch.ts').then((module) => module.watchCommand),
  },
  {
    name: 'rollout halt',
    summary: 'Stop a rollout before it reaches more nodes',
    load: () => import('./halt.ts').then((module) => module.haltCommand),
  },
]
