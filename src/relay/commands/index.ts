import type { CommandEntry } from '../../command/index.ts'

/** Verbs on relays (NET-6). */
export const relayCommands: readonly CommandEntry[] = [
  {
    name: 'relay serve',
    group: 'Nodes',
    summary: 'Run this node in the foreground as a relay',
    load: () => import('./serve.ts').then((module) => module.serveCommand),
  },
  {
    name: 'relay status',
    group: 'Nodes',
    summary: 'Show what this node relays, and which relays hold a way to it open',
    load: () => import('./status.ts').then((module) => module.statusCommand),
  },
]
