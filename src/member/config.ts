import { z } from 'zod'
import { defineSection, durationField } from '../config/index.ts'

/** The section `trust`: how old the word of the admins may be. */
export const trustSection = defineSection({
  name: 'trust',
  description: 'How this node believes what the network says of its members and keys.',
  schema: z
    .strictObject({
      max_stale: durationField('7d').describe(
        'Without a sign of life of any admin for this long, the node refuses new packages from the network. Apps run on, and versions that it has can be gone back to.',
      ),
    })
    .prefault({}),
})
