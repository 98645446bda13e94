import { z } from 'zod'
import { defineSection, durationField, sizeField } from '../config/index.ts'

/** `app:` of the config. */
export const appSection = defineSection({
  name: 'app',
  description: 'Apps that run on this node.',
  schema: z
    .strictObject({
      stop_grace: durationField('10s').describe('Time between SIGTERM and SIGKILL when an app is stopped.'),
      keep_versions: z
        .number()
        .int()
        .min(2)
        .max(100)
        .default(5)
        .describe('Versions of an app that stay installed; at least the active one and the one before it.'),
      log_file_size: sizeField('10MB').describe('A log is rotated when it is so large.'),
      log_files: z
        .number()
        .int()
        .min(1)
        .max(100)
        .default(5)
        .describe('Rotated files kept for each of stdout and stderr.'),
    })
    .prefault({}),
})
