import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import type { z } from 'zod'
import { Backoff } from '../base/backoff.ts'
import { WarrenError } from '../base/errors.ts'
import { sleep } from '../base/wait.ts'
import type { AnyCall, ApiClient, Call, ClientInput, StreamCall } from './contract.ts'
import { apiErrors } from './errors.ts'
import { readLines } from './json-lines.ts'

export interface ClientOptions {
  /** Opens a connection to the other side's door; fails as that door does. */
  readonly open: (signal: AbortSignal | undefined) => Promise<Duplex>
  /** Headers of a request, such as the cookie's; asked anew for each. */
  readonly headers?: () => Promise<Record<string, string>>
  /** Silence after which a stream counts as lost; two heartbeats and some air. Default 40 s. */
  readonly silenceMs?: number
  /** How often a stream that has a cursor is taken up again after its connection was lost. Default 8, some 25 s. */
  readonly resumeTries?: number
  /** Called by `close`. */
  readonly onClose?: () => void
}

interface AnyInput {
  readonly params?: Record<string, unknown>
  readonly query?: Record<string, unknown>
  readonly body?: unknown
  readonly upload?: AsyncIterable<Uint8Array>
}

/** The typed client, the same for the Unix socket and for a peer: one connection a request, closed after it. */
export function createClient(options: ClientOptions): ApiClient {
  const silenceMs = options.silenceMs ?? 40_000
  return {
    async call<C extends Call>(call: C, input: ClientInput<C>, { signal }: { signal?: AbortSignal } = {}) {
      const response = await send(options, { call, input: input as AnyInput, signal })
      return parseAnswer(call.response, await readJson(response)) as z.output<C['response']>
    },
    stream<C extends StreamCall>(call: C, input: ClientInput<C>, { signal }: { signal?: AbortSignal } = {}) {
      return resumingStream(options, { call, input: input as AnyInput, signal }, silenceMs) as AsyncIterable<
        z.output<C['event']>
      >
    },
    close: () => options.onClose?.(),
  }
}

/** Failures of a stream that has begun which end by themselves: a link, the daemon or the far node comes back. */
const PASSING = new Set(['connection_lost', 'daemon_not_running', 'node_unreachable', 'cookie_wrong'])

interface Sending {
  readonly call: AnyCall
  readonly input: AnyInput
  readonly signal: AbortSignal | undefined
}

async function* resumingStream(options: ClientOptions, sending: Sending, silenceMs: number): AsyncGenerator<unknown> {
  const { call, signal } = sending
  const resumable = call.query !== undefined && 'cursor' in call.query.shape
  const backoff = new Backoff({ minMs: 250, maxMs: 4000 })
  let tries = options.resumeTries ?? 8
  let cursor: string | undefined
  let begun = false
  for (;;) {
    const query = cursor === undefined ? sending.input.query : { ...sending.input.query, cursor }
    try {
      const response = await send(options, {
        ...sending,
        input: { ...sending.input, ...(query === undefined ? {} : { query }) },
      })
      begun = true
      for await (const event of eventsOf(response, call as StreamCall, silenceMs)) {
        cursor = (event as { cursor?: string }).cursor ?? cursor
        tries = options.resumeTries ?? 8
        backoff.reset()
        yield event
      }
      return
    } catch (error) {
      const passes = error instanceof WarrenError && PASSING.has(error.code)
      if (!passes || !begun || !resumable || tries-- <= 0 || signal?.aborted) throw error
      await sleep(backoff.next(), { signal })
    }
  }
}

async function* eventsOf(response: IncomingMessage, call: StreamCall, silenceMs: number): AsyncGenerator<unknown> {
  response.socket.setTimeout(silenceMs, () => {
    response.destroy(apiErrors.connection_lost(`nothing was heard for ${silenceMs} ms`))
  })
  try {
    for await (const line of readLines(response)) {
      const message = line as { event?: unknown; end?: boolean; error?: WireError; status?: number }
      if (message.error !== undefined) throw fromWire(message.error, message.status ?? 500)
      if (message.end === true) return
      if ('event' in message) yield parseAnswer(call.event, message.event)
    }
  } catch (error) {
    throw asLost(error)
  } finally {
    response.destroy()
  }
  throw apiErrors.connection_lost(`the stream ${call.path} ended without its last line`)
}

async function send(options: ClientOptions, { call, input, signal }: Sending): Promise<IncomingMessage> {
  const connection = await options.open(signal)
  const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(input.body ?? {}))
  const headers: Record<string, string | number> = {
    ...(await options.headers?.()),
    connection: 'close',
    host: 'warren',
  }
  if (body !== undefined) Object.assign(headers, { 'content-type': 'application/json', 'content-length': body.length })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest({
      method: call.method,
      path: pathOf(call, input),
      headers,
      createConnection: () => connection,
      ...(signal === undefined ? {} : { signal }),
    })
    const fail = (error: unknown): void => reject(signal?.aborted ? signal.reason : asLost(error))
    request.once('response', resolve)
    request.on('error', fail)
    if (call.upload !== undefined && input.upload !== undefined) pump(input.upload, request).catch(fail)
    else request.end(body)
  })
  if (response.statusCode === 200) return response
  const answer = (await readJson(response)) as { error?: WireError }
  throw fromWire(answer.error, response.statusCode ?? 500)
}

/** Sends the body until it is over or an answer comes: a refusal in the middle makes the rest pointless. */
async function pump(upload: AsyncIterable<Uint8Array>, request: ClientRequest): Promise<void> {
  const answered = new AbortController()
  request.once('response', () => answered.abort())
  request.once('close', () => answered.abort())
  try {
    for await (const part of upload) {
      if (answered.signal.aborted) break
      if (!request.write(part)) await once(request, 'drain', { signal: answered.signal }).catch(() => undefined)
    }
  } catch (error) {
    request.destroy()
    throw error
  }
  request.end()
}

function pathOf(call: AnyCall, input: AnyInput): string {
  const path = call.path.replaceAll(/\{([a-z_]+)\}/g, (_whole, name: string) =>
    encodeURIComponent(String(input.params?.[name])),
  )
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(input.query ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) search.append(key, String(each))
  }
  return search.size === 0 ? path : `${path}?${search}`
}

/** Longest answer that is read into memory; lists of a few hundred nodes stay far below. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

async function readJson(response: IncomingMessage): Promise<unknown> {
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const part of response as AsyncIterable<Uint8Array>) {
      bytes += part.byteLength
      if (bytes > MAX_ANSWER_BYTES) throw apiErrors.response_invalid(`an answer of more than ${MAX_ANSWER_BYTES} bytes`)
      parts.push(part)
    }
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw apiErrors.response_invalid('the answer is not JSON', { cause: error })
    throw asLost(error)
  } finally {
    response.destroy()
  }
}

function parseAnswer(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw apiErrors.response_invalid(`${issue?.path.join('.') || 'the answer'}: ${issue?.message}`, {
    hint: 'Compare the releases of both sides: warren nodes',
  })
}

interface WireError {
  readonly code: string
  readonly message: string
  readonly hint?: string | null
  readonly details?: Record<string, unknown>
}

function fromWire(error: WireError | undefined, status: number): WarrenError {
  if (error === undefined || typeof error.code !== 'string')
    return apiErrors.response_invalid(`an answer with status ${status}`)
  return new WarrenError(error.code, status, String(error.message), {
    ...(error.hint ? { hint: error.hint } : {}),
    ...(error.details ? { details: error.details } : {}),
  })
}

function asLost(error: unknown): unknown {
  if (error instanceof WarrenError) return error
  const code = (error as NodeJS.ErrnoException).code
  if (
    code === 'ECONNRESET' ||
    code === 'EPIPE' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'ERR_STREAM_DESTROYED'
  ) {
    return apiErrors.connection_lost('the connection ended before the answer was complete', {
      cause: error,
      hint: 'Try again.',
    })
  }
  return error
}
