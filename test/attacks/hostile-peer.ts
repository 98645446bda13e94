/** A node of the attacker's own: it keeps the rules of the wire as far as it must to be heard, and none after that. */
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Envelope, encodeEnvelope } from '../../src/identity/index.ts'
import { testNetwork } from '../../src/net/fixtures/networks.ts'
import type { Network, NetworkInit, Stream } from '../../src/net/index.ts'
import type { Daemon } from './daemon.ts'
import type { Fleet, Identity } from './fleet.ts'
import { framed } from './mutations.ts'

const API_PROTOCOL = '/warren/api/1'
const ROSTER_PROTOCOL = '/warren/roster/1'
const IDENTIFY_PROTOCOL = '/ipfs/id/1.0.0'
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** Until a daemon has taken statements in and closed its side. */
const EXCHANGE_MS = 1000
const CALL_TIMEOUT_MS = 60_000

/** An answer of the API. */
export interface ApiAnswer {
  readonly status: number
  /** Of the error, where there is one. */
  readonly code: string | undefined
  readonly text: string
}

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly body?: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
}

export interface HostilePeer {
  readonly id: string
  readonly network: Network
  /** Connects, and stays connected. */
  join(daemon: Daemon): Promise<void>
  /** What the daemon says that it serves. */
  protocolsOf(daemon: Daemon): Promise<string[]>
  /** Says bytes on a fresh stream and gives what is heard until its end, or until the time is over. Never fails. */
  say(daemon: Daemon, protocol: string, saying: Saying): Promise<Buffer>
  /** Holds an exchange of rosters in which it sends these statements. Fails where the daemon says nothing at all. */
  tell(daemon: Daemon, statements: readonly Envelope[]): Promise<void>
  /** One call of the API. Fails where no answer comes. */
  call(daemon: Daemon, ask: ApiRequest): Promise<ApiAnswer>
  stop(): Promise<void>
}

/** What is said on a stream, and how. */
export interface Saying {
  readonly bytes: Uint8Array
  /** Sizes of the pieces that it is written in; what is left comes in one. */
  readonly pieces?: readonly number[]
  /** `end` closes the own half, `reset` gives the stream up at once, `hold` leaves it open. */
  readonly finish: 'end' | 'reset' | 'hold'
  /** How long to listen. */
  readonly listenMs: number
}

/** A started node with this identity and the network's key, unless told otherwise. */
export async function createHostilePeer(
  fleet: Pick<Fleet, 'networkId' | 'networkKeys'>,
  identity: Identity,
  init: Partial<NetworkInit> = {},
): Promise<HostilePeer> {
  const network = testNetwork({
    privateKey: identity.seed,
    proof: { networkId: () => fleet.networkId, keys: () => fleet.networkKeys() },
    ...init,
  })
  await network.start()
  return {
    id: network.id,
    network,
    async join(daemon) {
      await network.connect(daemon.address)
      await network.addAddress(daemon.id, [daemon.address])
    },
    async protocolsOf(daemon) {
      // One such question is answered at a time, and a new connection begins with one.
      return await eventually(async () => {
        const stream = await network.open(daemon.id, IDENTIFY_PROTOCOL)
        return protocolsIn(Buffer.concat(await stream.toArray()))
      })
    },
    say: (daemon, protocol, saying) => sayOn(network, { peer: daemon.id, protocol, saying }),
    tell: (daemon, statements) => tellRoster(network, daemon, statements),
    call: (daemon, ask) => callApi(network, daemon.id, ask),
    stop: () => network.stop(),
  }
}

/** What `ask` gives, as soon as it does not fail any more. */
async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + CALL_TIMEOUT_MS; ; await sleep(100)) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > until) throw error
    }
  }
}

interface SayOptions {
  readonly peer: string
  readonly protocol: string
  readonly saying: Saying
}

async function sayOn(network: Network, { peer, protocol, saying }: SayOptions): Promise<Buffer> {
  let stream: Stream
  try {
    stream = await network.open(peer, protocol)
  } catch {
    return Buffer.alloc(0)
  }
  return speak(stream, saying)
}

/** Says it on a stream that is open, and gives what is heard. The stream is gone afterwards. Never fails. */
export async function speak(stream: Stream, { bytes, pieces = [], finish, listenMs }: Saying): Promise<Buffer> {
  const heard = listen(stream, listenMs)
  let at = 0
  for (const size of pieces) {
    if (stream.destroyed || at >= bytes.length) break
    stream.write(bytes.subarray(at, at + size))
    at += size
    await new Promise(setImmediate)
  }
  if (!stream.destroyed && at < bytes.length) stream.write(bytes.subarray(at))
  if (finish === 'reset') stream.destroy()
  else if (finish === 'end' && !stream.destroyed) stream.end()
  const answer = await heard
  stream.destroy()
  return answer
}

/** What comes until the end of the stream or of the time. */
function listen(stream: Stream, forMs: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    let bytes = 0
    const done = (): void => {
      clearTimeout(timer)
      resolve(Buffer.concat(parts))
    }
    const timer = setTimeout(done, forMs)
    stream.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= MAX_ANSWER_BYTES) parts.push(part)
      else done()
    })
    for (const over of ['end', 'close', 'error']) stream.once(over, done)
  })
}

async function tellRoster(network: Network, daemon: Daemon, envelopes: readonly Envelope[]): Promise<void> {
  const statements = envelopes.map((envelope) => Buffer.from(encodeEnvelope(envelope)).toString('base64'))
  const messages = [{ type: 'heads', heads: [] }, { type: 'statements', statements }, { type: 'end' }]
  const bytes = Buffer.concat(messages.map((message) => framed(JSON.stringify(message))))
  const saying: Saying = { bytes, finish: 'end', listenMs: EXCHANGE_MS }
  const heard = await sayOn(network, { peer: daemon.id, protocol: ROSTER_PROTOCOL, saying })
  if (heard.length === 0) throw new Error(`${daemon.name} held no exchange`)
}

async function callApi(network: Network, peer: string, ask: ApiRequest): Promise<ApiAnswer> {
  const stream = await network.open(peer, API_PROTOCOL)
  const { method, path, body, headers = {} } = ask
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const asked = request({
      method,
      path,
      headers: { host: 'warren', connection: 'close', ...length, ...headers },
      createConnection: () => stream,
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    })
    asked.on('error', reject)
    asked.once('response', (response) => {
      let text = ''
      const done = (): void => {
        stream.destroy()
        resolve({ status: response.statusCode ?? 0, code: codeIn(text), text })
      }
      // An answer that goes on, such as that of a follower, is not waited for.
      if (response.headers['content-type'] === 'application/jsonl') return done()
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.once('end', done).once('error', done).once('aborted', done)
    })
    asked.end(body)
  })
}

function codeIn(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { code?: string } } | null)?.error?.code
  } catch {
    return undefined
  }
}

/** The protocols in an identify message (field 3, text), after its length. */
function protocolsIn(message: Buffer): string[] {
  const found: string[] = []
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  varint()
  while (at < message.length) {
    const tag = varint()
    const size = varint()
    if ((tag & 7) !== 2) continue
    if (tag >> 3 === 3) found.push(message.toString('utf8', at, at + size))
    at += size
  }
  return found
}
