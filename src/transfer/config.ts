import { z } from 'zod'
import { defineSection, sizeField } from '../config/index.ts'

/** `transfer:` of the config. */
export const transferSection = defineSection({
  name: 'transfer',
  description: 'How packages are stored and moved.',
  schema: z
    .strictObject({
      max_package_bytes: sizeField('4GB').describe('Largest package that is accepted, uncompressed.'),
    })
    .prefault({}),
})
