/** What asker and helper say to one another; hostile until parsed. */
import { isIP } from 'node:net'
import { z } from 'zod'
import { netErrors } from '../errors.ts'
import { MAX_PORTS } from './constants.ts'

const port = z.int().min(1).max(65_535)

const requestSchema = z.object({
  probes: z
    .array(z.object({ port, nonce: z.string().regex(/^[0-9a-f]{24}$/) }))
    .min(1)
    .max(MAX_PORTS),
})

const answerSchema = z.union([
  z.object({ declined: z.enum(['limited', 'no_public_address']) }),
  z.object({
    seen: z
      .string()
      .max(45)
      .refine((host) => isIP(host) !== 0),
    results: z.array(z.object({ port, outcome: z.enum(['answered', 'refused', 'silent']) })).max(MAX_PORTS),
  }),
])

/** "Connect to these ports of mine and say these nonces there." */
export type ReachRequest = z.infer<typeof requestSchema>
/** What came of it, and at which address the helper sees the asker; or why it does not help. */
export type ReachAnswer = z.infer<typeof answerSchema>
export type DialBackOutcome = 'answered' | 'refused' | 'silent'

/** Fails with `message_malformed`. */
export function parseRequest(bytes: Uint8Array): ReachRequest {
  return parse(requestSchema, bytes)
}

/** Fails with `message_malformed`. */
export function parseAnswer(bytes: Uint8Array): ReachAnswer {
  return parse(answerSchema, bytes)
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array): T {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw netErrors.message_malformed('a message about reachability is not JSON', { cause })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw netErrors.message_malformed('a message about reachability does not have its form', { cause: parsed.error })
}
