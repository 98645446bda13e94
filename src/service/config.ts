import { z } from 'zod'
import { defineSection } from '../config/index.ts'

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
/** The resolver answers with loopback addresses, which are of no use to another machine. */
const LOOPBACK = /^(127(\.\d{1,3}){3}|\[::1\]):\d{1,5}$/

/** `service:` of the config. */
export const serviceSection = defineSection({
  name: 'service',
  description: 'Ports of this node and of others, by name.',
  schema: z
    .strictObject({
      dns: z
        .string()
        .refine((text) => text === '' || LOOPBACK.test(text), {
          error: 'must be empty, or a loopback address and a port such as 127.0.0.1:5335',
        })
        .default('')
        .describe('Where the resolver for names that end in .warren answers, such as 127.0.0.1:5335; empty: nowhere.'),
      names: z
        .record(
          z.string().regex(LABEL, 'must be a name of a-z, 0-9 and -'),
          z.string().regex(/^[^/\s]{1,128}\/[a-z0-9-]{1,63}$/, 'must be NODE/SERVICE'),
        )
        .default({})
        .describe('Further names of services, such as db: office/postgres, for warren proxy db and for db.warren.'),
    })
    .prefault({}),
})
