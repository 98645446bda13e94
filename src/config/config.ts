import { z } from 'zod'
import { pathField } from './fields.ts'
import { defineSection } from './section.ts'

/** What the daemon writes about its own work (OBS-4). */
export const loggingSection = defineSection({
  name: 'logging',
  description: 'What the daemon writes about its own work, on standard error.',
  schema: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('The least important line that is written.'),
      format: z
        .enum(['console', 'json'])
        .default('console')
        .describe('Lines for people, or one JSON object a line for machines.'),
    })
    .prefault({}),
})

/** Where a node keeps its state and its keys. */
export const storageSection = defineSection({
  name: 'storage',
  description: 'Where the node keeps its files.',
  schema: z
    .strictObject({
      data_dir: pathField('.').describe('Packages, apps, roster and state; as default the home folder itself.'),
      keys_dir: pathField('keys').describe('Private keys and the folder of trusted keys; only the owner may read it.'),
    })
    .prefault({}),
})
