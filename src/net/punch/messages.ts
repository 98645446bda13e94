/** What the two sides say to each other. Everything heard is hostile until parsed here. */
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import { netErrors } from '../errors.ts'
import { readMessage, sendMessage } from '../frames.ts'
import { MAX_DIALLING_ADDRESSES, MAX_MESSAGE_BYTES, MAX_TCP_ADDRESSES, MAX_UDP_ADDRESSES } from './limits.ts'

const address = z.object({
  host: z
    .string()
    .max(45)
    .refine((host) => isIP(host) !== 0, 'no IP address'),
  port: z.int().min(1).max(65_535),
})

/** How a router gives outer ports: the same for all, depending on who is sent to, or no answer came at all. */
const mapping = z.enum(['same', 'depends', 'blocked', 'unknown'])

const candidates = z
  .object({
    tcp: z.object({
      mapping,
      /** The ordinary listener, as others may reach it. */
      own: z.array(address).max(MAX_TCP_ADDRESSES),
      /** The attempt's own listener, as seen from outside and on local networks. */
      listening: z.array(address).max(MAX_TCP_ADDRESSES),
      /** The port from which it dials, as seen from outside; nobody listens there. */
      dialling: z.array(address).max(MAX_DIALLING_ADDRESSES),
    }),
    udp: z.object({
      mapping,
      addresses: z.array(address).max(MAX_UDP_ADDRESSES),
      /** Whether it can make data channels at all. */
      channel: z.boolean(),
    }),
    /** Whether it may do birthday probing with this peer now. */
    birthday: z.boolean(),
  })
  .refine(
    ({ tcp }) => tcp.own.length + tcp.listening.length + tcp.dialling.length <= MAX_TCP_ADDRESSES,
    'too many addresses',
  )

const nonce = z.string().regex(/^[0-9a-f]{32}$/)
const how = z.enum(['dial', 'reversed', 'simultaneous', 'birthday', 'udp', 'udp birthday'])

const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('begin'), nonce }),
  z.object({ type: z.literal('ready'), nonce }),
  z.object({ type: z.literal('refused'), reason: z.enum(['folded', 'limited', 'busy']) }),
  z.object({ type: z.literal('offer'), candidates }),
  z.object({ type: z.literal('answer'), candidates }),
  z.object({
    type: z.literal('go'),
    stage: z.enum(['tcp', 'udp']),
    rttMs: z.number().min(0).max(60_000),
    birthday: z.boolean(),
  }),
  z.object({ type: z.literal('found') }),
  z.object({
    type: z.literal('describe'),
    fragment: z.string().regex(/^[A-Za-z0-9+/]{4,32}$/),
    password: z.string().regex(/^[A-Za-z0-9+/]{22,64}$/),
    fingerprint: z.string().regex(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
  }),
  z.object({ type: z.literal('result'), ok: z.boolean(), how: how.nullable(), ms: z.int().min(0).max(60_000) }),
])

/** An address and port. */
export type Address = z.infer<typeof address>
export type Mapping = z.infer<typeof mapping>
/** Where a side can be tried, and what it knows of its router. */
export type Candidates = z.infer<typeof candidates>
/** Which way led to the connection. */
export type How = z.infer<typeof how>
export type Message = z.infer<typeof message>
type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>
/** What a data channel must know of the other end. */
export type Description = Omit<MessageOf<'describe'>, 'type'>

/** The message in these bytes; fails with `protocol_unsupported`. */
export function decodeMessage(bytes: Uint8Array): Message {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw netErrors.protocol_unsupported('a punch message is not JSON', { cause })
  }
  const parsed = message.safeParse(json)
  if (parsed.success) return parsed.data
  throw netErrors.protocol_unsupported(`a punch message is not understood: ${parsed.error.issues[0]?.message}`)
}

/** Messages of one attempt; an honest one needs six. */
const MAX_MESSAGES = 16

/** The talk over one stream. What is heard is read at once; a result is told apart from all else, as it may come at any time. */
export class Talk {
  /** What the other side says that came out; pending until it does. */
  readonly result: Promise<MessageOf<'result'>>
  readonly #stream: Duplex
  readonly #heard: Message[] = []
  #count = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    const result = Promise.withResolvers<MessageOf<'result'>>()
    this.result = result.promise
    this.#listen(result.resolve).catch((error: Error) => {
      this.#failure = error
      this.#wake?.()
      result.reject(error)
    })
    this.result.catch(() => undefined)
  }

  say(said: Message): Promise<void> {
    return sendMessage(this.#stream, said)
  }

  /** The next message, which must be of one of these types. At most one call at a time; the last one is what counts. */
  async hear<const T extends Message['type']>(types: readonly T[], signal: AbortSignal): Promise<MessageOf<T>> {
    const onAbort = (): void => this.#wake?.()
    signal.addEventListener('abort', onAbort)
    try {
      while (this.#heard.length === 0) {
        signal.throwIfAborted()
        if (this.#failure !== undefined) throw this.#failure
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    const heard = this.#heard.shift() as Message
    if ((types as readonly string[]).includes(heard.type)) return heard as MessageOf<T>
    throw netErrors.protocol_unsupported(`a punch message "${heard.type}" came where ${types.join(' or ')} must`)
  }

  async #listen(onResult: (result: MessageOf<'result'>) => void): Promise<void> {
    for (;;) {
      const bytes = await readMessage(this.#stream, { maxBytes: MAX_MESSAGE_BYTES })
      if (bytes === undefined) throw netErrors.stream_reset('the other side has ended the attempt')
      if (++this.#count > MAX_MESSAGES) throw netErrors.protocol_unsupported('too many punch messages')
      const heard = decodeMessage(bytes)
      if (heard.type === 'result') onResult(heard)
      else this.#heard.push(heard)
      this.#wake?.()
    }
  }
}
