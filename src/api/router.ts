import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { toWarrenError, type WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { type AnyCall, type Caller, type HandlerInput, ROLES, type Route, roleIncludes } from './contract.ts'
import { endAnswer } from './end-answer.ts'
import { apiErrors } from './errors.ts'
import { createRateLimit } from './rate-limit.ts'
import { readJsonBody, uploadOf } from './request-body.ts'
import { writeStream } from './stream-writer.ts'

export interface RouterOptions {
  readonly routes: readonly Route[]
  readonly log: Logger
  /** Whom a caller without the right role may ask, for the message of `role_required`. */
  readonly whomToAsk?: () => string
  /** Time between the heartbeats of a stream. Default 15 s. */
  readonly heartbeatMs?: number
}

/** Answers requests by the contract. */
export interface Router {
  /** Answers one request of `caller`, whatever happens; never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void>
  readonly routes: readonly Route[]
}

/**
 * The router behind every door. It finds the call, checks the caller's role (in this one place, before anything of the
 * request is read), parses params, query and body by the contract, and writes the answer or the error.
 */
export function createRouter(options: RouterOptions): Router {
  const matchers = options.routes.map((route) => ({ route, match: pathMatcher(route.call.path) }))
  const rateLimit = createRateLimit()
  const heartbeatMs = options.heartbeatMs ?? 15_000

  const find = (method: string, pathname: string): { route: Route; params: Record<string, string> } => {
    for (const { route, match } of matchers) {
      if (route.call.method !== method) continue
      const params = match(pathname)
      if (params !== undefined) return { route, params }
    }
    throw apiErrors.call_not_found(`no call ${method} ${pathname}`, { hint: 'Compare the releases: warren status' })
  }

  return {
    routes: options.routes,
    async handle(request, response, caller) {
      const cancelled = new AbortController()
      const onClose = (): void => cancelled.abort(apiErrors.connection_lost('the caller left'))
      response.once('close', onClose)
      try {
        if (caller.door === 'peer') rateLimit(caller.id)
        const url = URL.parse(request.url ?? '/', 'http://warren')
        if (url === null) throw apiErrors.call_not_found(`no call ${request.method} ${request.url}`)
        const { route, params } = find(request.method ?? 'GET', url.pathname)
        authorize(route.call, caller, options.whomToAsk)
        const input = await readInput(route.call, { request, url, params, caller, signal: cancelled.signal })
        const output = route.handle(input)
        if (route.call.kind === 'call') writeJson(response, 200, (await output) ?? null)
        else await writeStream(response, output as AsyncIterable<unknown>, { signal: cancelled.signal, heartbeatMs })
      } catch (thrown) {
        const error = toWarrenError(thrown)
        if (error.status === 500) options.log.error({ err: error.cause ?? error, path: request.url }, error.message)
        writeError(response, error)
      } finally {
        response.off('close', onClose)
        if (!request.readableEnded) request.resume()
      }
    },
  }
}

/** Writes an error in the form every client understands, unless the answer has begun. */
export function writeError(response: ServerResponse, error: WarrenError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  // The rest of a refused body would be read to the end for keep-alive; closing says no at once.
  response.setHeader('connection', 'close')
  writeJson(response, error.status, { error: error.toJSON() })
}

function writeJson(response: ServerResponse, status: number, value: unknown): void {
  if (response.destroyed) return
  const body = Buffer.from(`${JSON.stringify(value)}\n`)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  response.write(body)
  endAnswer(response)
}

function authorize(call: AnyCall, caller: Caller, whomToAsk?: () => string): void {
  const name = `${call.method} ${call.path}`
  if (call.localOnly === true && caller.door !== 'local') {
    throw apiErrors.local_only(`${name} is answered on this node's own socket only`)
  }
  if (roleIncludes(caller.role, call.role)) return
  const ask = whomToAsk?.()
  throw apiErrors.role_required(`${name} needs the role ${call.role}; ${caller.id} has the role ${caller.role}`, {
    hint:
      ask === undefined || ask === ''
        ? `Ask an admin of this network for the role ${call.role}.`
        : `Ask an admin for the role ${call.role}: ${ask}`,
    details: { needed: call.role, has: caller.role, roles: ROLES },
  })
}

interface InputSource {
  readonly request: IncomingMessage
  readonly url: URL
  readonly params: Record<string, string>
  readonly caller: Caller
  readonly signal: AbortSignal
}

async function readInput(call: AnyCall, source: InputSource): Promise<HandlerInput<AnyCall>> {
  const { request, url, caller, signal } = source
  const params = parsePart('path', call.params, source.params)
  const query = parsePart('query', call.query, queryOf(url))
  const body =
    call.body === undefined ? undefined : parsePart('body', call.body, await readJsonBody(request, call.maxBodyBytes))
  const upload = uploadOf(request, call.upload?.maxBytes ?? 0)
  return { params, query, body, upload, caller, signal } as HandlerInput<AnyCall>
}

function queryOf(url: URL): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {}
  for (const key of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(key)
    query[key] = values.length === 1 ? (values[0] as string) : values
  }
  return query
}

function parsePart(part: string, schema: z.ZodType | undefined, value: unknown): unknown {
  if (schema === undefined) return undefined
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => `${[part, ...issue.path].join('.')}: ${issue.message}`)
  throw apiErrors.request_invalid(faults.join('; '), { details: { faults } })
}

/** `/v1/app/{app}/logs` → a function that gives the decoded params of a path of that form. */
function pathMatcher(template: string): (pathname: string) => Record<string, string> | undefined {
  const names: string[] = []
  const pattern = template.replaceAll(/\{([a-z_]+)\}/g, (_whole, name: string) => {
    names.push(name)
    return '([^/]+)'
  })
  const expression = new RegExp(`^${pattern}$`)
  return (pathname) => {
    const found = expression.exec(pathname)
    if (found === null) return undefined
    try {
      return Object.fromEntries(names.map((name, index) => [name, decodeURIComponent(found[index + 1] as string)]))
    } catch {
      return undefined
    }
  }
}
