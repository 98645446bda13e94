import { z } from 'zod'
import { defineSection, durationField } from '../config/index.ts'

/** The section `deploy`: what a deploy does where the command does not say. */
export const deploySection = defineSection({
  name: 'deploy',
  description: 'How a new version goes out and when it counts as good.',
  schema: z
    .strictObject({
      timeout: durationField('5m').describe('How long the command waits; the rollout itself goes on.'),
      retries: z.int().min(0).max(100).default(3).describe('Further tries of a transfer that failed.'),
      retry_delay: durationField('10s').describe('Pause between two tries.'),
      min_healthy_time: durationField('1s').describe(
        'How long a new version must be healthy before it counts as good.',
      ),
      progress_deadline: durationField('60s').describe('How long a new version may take to become healthy.'),
    })
    .prefault({}),
})
