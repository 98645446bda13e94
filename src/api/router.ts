import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import { type Clock, systemClock } from '../base/clock.ts'
import type { TellDecision } from '../base/decisions.ts'
import { toWarrenError, type WarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { authorize } from './authorize.ts'
import type { AnyCall, Caller, HandlerInput, Route } from './contract.ts'
import { endAnswer } from './end-answer.ts'
import { apiErrors } from './errors.ts'
import { createChangeLimit, createRateLimit } from './rate-limit.ts'
import { readJsonBody, uploadOf } from './request-body.ts'
import { writeStream } from './stream-writer.ts'
import { createCallTeller, type ToldCall } from './tell-calls.ts'

export interface RouterOptions {
  readonly routes: readonly Route[]
  readonly log: Logger
  /** Whom a caller without the right role may ask, for the message of `role_required`. */
  readonly whomToAsk?: () => string
  /** Hears every refusal, every call that changes something and how it failed, and seldom a read by a peer. */
  readonly tell?: TellDecision
  /** Time between the heartbeats of a stream. Default 15 s. */
  readonly heartbeatMs?: number
  readonly clock?: Clock
}

/** Answers requests by the contract. */
export interface Router {
  /** Answers one request of `caller`, whatever happens; never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void>
  readonly routes: readonly Route[]
}

/** What the router refuses before a call begins. */
const REFUSALS = new Set(['role_required', 'local_only', 'rate_limited'])

/**
 * The router behind every door. It finds the call, checks the caller's rights (in this one place, and before anything of
 * the request is read, unless a narrowed right may cover an app that the body names), parses params, query and body by
 * the contract, and writes the answer or the error.
 */
export function createRouter(options: RouterOptions): Router {
  const { log, whomToAsk, tell, heartbeatMs = 15_000, clock = systemClock } = options
  const find = createFinder(options.routes)
  const rateLimit = createRateLimit(clock)
  const changeLimit = createChangeLimit(clock)
  const teller = createCallTeller({ tell, clock })

  const answer = async (exchange: Exchange, told: ToldCall): Promise<'allowed' | WarrenError> => {
    const { request, response, caller, url, signal } = exchange
    let allowed = false
    try {
      if (caller.door === 'peer') rateLimit(caller.id)
      const { route, params } = find(told.method, url.pathname)
      const requireSubject = authorize(route.call, { caller, params, whomToAsk })
      const input = await readInput(route.call, { ...exchange, params })
      requireSubject(input)
      if (caller.door === 'peer' && told.method !== 'GET') changeLimit(caller.id)
      teller.allowed(told, route.call.path)
      allowed = true
      const output = route.handle(input)
      if (route.call.kind === 'call') writeJson(response, 200, (await output) ?? null)
      else {
        const error = await writeStream(response, output as AsyncIterable<unknown>, { signal, heartbeatMs })
        if (error !== undefined) teller.failed(told, error)
      }
      return 'allowed'
    } catch (thrown) {
      const error = toWarrenError(thrown)
      if (allowed) teller.failed(told, error)
      else if (REFUSALS.has(error.code)) teller.refused(told, error)
      if (error.status === 500) log.error({ err: error.cause ?? error, path: request.url }, error.message)
      return error
    }
  }

  return {
    routes: options.routes,
    async handle(request, response, caller) {
      const cancelled = new AbortController()
      const onClose = (): void => cancelled.abort(apiErrors.connection_lost('the caller left'))
      response.once('close', onClose)
      // It may have left while its door still looked at who it is.
      if (response.destroyed) onClose()
      const { method = 'GET' } = request
      const url = URL.parse(request.url ?? '/', 'http://warren')
      const result =
        url === null
          ? apiErrors.call_not_found(`no call ${method} ${request.url}`)
          : await answer(
              { request, response, caller, url, signal: cancelled.signal },
              { caller, method, path: url.pathname },
            )
      if (result !== 'allowed') writeError(response, result)
      response.off('close', onClose)
      if (!request.readableEnded) request.resume()
    },
  }
}

/** A request on its way to a handler. */
interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly caller: Caller
  readonly url: URL
  readonly signal: AbortSignal
}

/** Finds the route of a method and path, with the decoded parameters. Fails with `call_not_found`. */
function createFinder(
  routes: readonly Route[],
): (method: string, pathname: string) => { route: Route; params: Record<string, string> } {
  const matchers = routes.map((route) => ({ route, match: pathMatcher(route.call.path) }))
  return (method, pathname) => {
    for (const { route, match } of matchers) {
      if (route.call.method !== method) continue
      const params = match(pathname)
      if (params !== undefined) return { route, params }
    }
    throw apiErrors.call_not_found(`no call ${method} ${pathname}`, { hint: 'Compare the releases: warren status' })
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

async function readInput(
  call: AnyCall,
  source: Exchange & { params: Record<string, string> },
): Promise<HandlerInput<AnyCall>> {
  const { request, url, caller, signal } = source
  const params = parsePart('path', call.params, source.params)
  const query = parsePart('query', call.query, queryOf(url))
  const body =
    call.body === undefined
      ? undefined
      : parsePart('body', call.body, await readJsonBody(request, { maxBytes: call.maxBodyBytes }))
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
