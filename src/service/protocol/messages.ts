import { z } from 'zod'
import { toWarrenError, type WarrenError } from '../../base/errors.ts'
import { serviceErrors } from '../errors.ts'
import { MAX_NAMED, MAX_SERVICES } from '../limits.ts'
import { isServiceName } from '../service-name.ts'

const kind = z.enum(['tcp', 'udp'])
const serviceName = z.string().refine(isServiceName)

const headSchema = z.object({ service: serviceName, kind })
/** What a stream is for. */
export type Head = z.output<typeof headSchema>

/** Codes with which a connection is refused; another one is read as a fault of the protocol. */
const REFUSALS = ['service_not_found', 'service_refused', 'service_busy', 'service_unreachable'] as const

const answerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true) }),
  z.object({
    ok: z.literal(false),
    code: z.enum(REFUSALS),
    message: z.string().max(1000),
    hint: z.string().max(1000).nullable(),
  }),
])

const rowSchema = z.object({
  name: serviceName,
  kind,
  port: z.int().min(1).max(65_535),
  target: z.string().max(270).nullable(),
  to: z.array(z.string().min(1).max(128)).max(MAX_NAMED),
  allowed: z.boolean(),
})
/** A service in a node's list: `to` holds roles and ids. */
export type ListedService = z.output<typeof rowSchema>

const listSchema = z.object({ services: z.array(rowSchema).max(MAX_SERVICES) })

/** Fails with `service_malformed`. */
export function decodeHead(bytes: Buffer): Head {
  return parse('head', headSchema, bytes)
}

/** Resolves where the answer is yes. Fails with the code of the refusal, and with `service_malformed`. */
export function requireYes(bytes: Buffer): void {
  const answer = parse('answer', answerSchema, bytes)
  if (answer.ok) return
  const { code, message, hint } = answer
  throw serviceErrors[code](message, hint === null ? {} : { hint })
}

/** The answer that says why not. */
export function encodeRefusal(error: WarrenError): object {
  const code = REFUSALS.find((each) => each === error.code) ?? 'service_unreachable'
  return { ok: false, code, message: error.message.slice(0, 1000), hint: error.hint?.slice(0, 1000) ?? null }
}

/** Fails with `service_malformed`. */
export function decodeList(bytes: Buffer): ListedService[] {
  return parse('list', listSchema, bytes).services
}

function parse<S extends z.ZodType>(what: string, schema: S, bytes: Buffer): z.output<S> {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw serviceErrors.service_malformed(`a ${what} of ${bytes.length} bytes could not be read`, {
      cause: toWarrenError(cause),
      hint: 'Compare the releases of both nodes: warren nodes',
    })
  }
}
