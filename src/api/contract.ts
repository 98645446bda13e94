import type { z } from 'zod'
import type { Rights, Role, Subject } from './rights.ts'

export { ROLES, type Role, roleIncludes } from './rights.ts'

interface CallBase {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** `/v1/NOUN/...`; `{name}` parts are parameters. */
  readonly path: `/v1/${string}`
  /** The least role that may call it. */
  readonly role: Role
  /** One sentence for the OpenAPI document. */
  readonly summary: string
  /** Only the daemon's own socket may call it, for instance because it signs with the node's key. */
  readonly localOnly?: boolean
  /**
   * What it acts on, for callers whose right is narrowed to some apps; default: the app in its path. Without either a
   * narrowed right never opens the call. Must not throw, whatever the body says.
   */
  readonly subject?: (input: SubjectInput) => Subject
  /** Its handler gives a caller only what `caller.rights` cover, so that any narrowed right to its role opens it. */
  readonly filtered?: boolean
  readonly params?: z.ZodObject
  /** Query values arrive as text: use `z.coerce` or `queryFlag` for anything else. */
  readonly query?: z.ZodObject
  /** Schema of a JSON body. */
  readonly body?: z.ZodType
  /** The request's body is bytes, given to the handler as a stream, at most this long. */
  readonly upload?: { readonly maxBytes: number }
  /** Longest JSON body. Default 1 MiB (NET-12). */
  readonly maxBodyBytes?: number
}

/** What `subject` is told: parsed by the call's own schemas, whose output types it knows. */
export interface SubjectInput {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
}

/** A call: a request and one JSON answer. */
export interface Call extends CallBase {
  readonly kind: 'call'
  readonly response: z.ZodType
}

/** A stream: a request and JSON lines until the work, or the caller, is done. */
export interface StreamCall extends CallBase {
  readonly kind: 'stream'
  readonly event: z.ZodType
}

/** A call or a stream. */
export type AnyCall = Call | StreamCall

/** Defines a call of the contract; see the folder's example. */
export function defineCall<const D extends Omit<Call, 'kind'>>(definition: D): D & { readonly kind: 'call' } {
  return { ...definition, kind: 'call' }
}

/** Defines a stream of the contract. */
export function defineStream<const D extends Omit<StreamCall, 'kind'>>(definition: D): D & { readonly kind: 'stream' } {
  return { ...definition, kind: 'stream' }
}

type Output<C, Part extends string> = C extends Record<Part, infer S extends z.ZodType> ? z.output<S> : undefined

/** What a handler gets: parsed and typed. */
export interface HandlerInput<C extends AnyCall> {
  readonly params: Output<C, 'params'>
  readonly query: Output<C, 'query'>
  readonly body: Output<C, 'body'>
  /** The bytes of an upload; ends early with an error when the caller leaves. */
  readonly upload: AsyncIterable<Uint8Array>
  readonly caller: Caller
  /** Fires when the caller leaves or the server stops. */
  readonly signal: AbortSignal
}

/** Who calls, as the door knows it; never taken from a header. */
export interface Caller {
  /** `local`: the daemon's own socket. `peer`: another node, by its authenticated id. */
  readonly door: 'local' | 'peer'
  /** The peer's id; for the local door the node's own. */
  readonly id: string
  readonly rights: Rights
}

/** What a handler gives back. */
export type HandlerOutput<C extends AnyCall> = C extends Call
  ? Promise<z.input<C['response']>> | z.input<C['response']>
  : C extends StreamCall
    ? AsyncIterable<z.input<C['event']>>
    : never

/** A call and the code that answers it. */
export interface Route {
  readonly call: AnyCall
  readonly handle: (input: HandlerInput<AnyCall>) => unknown
}

/** Binds a call to the code that answers it; a folder's `routes.ts` is a list of these. */
export function implement<C extends AnyCall>(call: C, handle: (input: HandlerInput<C>) => HandlerOutput<C>): Route {
  return { call, handle: handle as Route['handle'] }
}

type Sent<C, Part extends string> =
  C extends Record<Part, infer S extends z.ZodType> ? Record<Part, z.input<S>> : unknown

/** What a client sends. */
export type ClientInput<C extends AnyCall> = Sent<C, 'params'> &
  Sent<C, 'body'> &
  Partial<Sent<C, 'query'>> & {
    /** For a call with `upload`. */
    readonly upload?: AsyncIterable<Uint8Array>
  }

/** The typed client: the same for every door. */
export interface ApiClient {
  /** One answer. Fails with the WarrenError the server gave, or `daemon_not_running`, `connection_lost`. */
  call<C extends Call>(
    call: C,
    input: ClientInput<C>,
    options?: { signal?: AbortSignal },
  ): Promise<z.output<C['response']>>
  /** The events in order. Ends when the server ends it; leaving the loop cancels the work at the server. */
  stream<C extends StreamCall>(
    call: C,
    input: ClientInput<C>,
    options?: { signal?: AbortSignal },
  ): AsyncIterable<z.output<C['event']>>
  /** Closes idle connections. */
  close(): void
}
