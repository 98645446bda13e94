import { z } from 'zod'
import { defineCall } from '../../api/index.ts'

/** The calls about the private table (NET-5). */
export const dhtContract = {
  bootstrap: defineCall({
    method: 'POST',
    path: '/v1/peer/bootstrap',
    role: 'admin',
    summary: 'Connect with known nodes and look around in the private table from there',
    response: z.object({
      contacts: z.int(),
      tried: z.array(z.object({ seed: z.string(), name: z.string().nullable(), error: z.string().nullable() })),
    }),
  }),
}
