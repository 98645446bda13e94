import { setImmediate } from 'node:timers/promises'
import type { Clock, TimerHandle } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { TokenBuckets } from '../../base/token-buckets.ts'
import { mapLimited, sleep, withTimeout } from '../../base/wait.ts'
import { type Network, readMessage, type Stream, sendMessage } from '../../net/index.ts'
import type { Audit } from '../audit.ts'
import { auditErrors } from '../errors.ts'
import { decodeHead, encodeHead, MAX_HEAD_BYTES, type SignedAuditHead } from '../head.ts'
import { HeadStore, type KeptHeads } from '../kept-heads.ts'
import type { PeerHeads } from '../verify.ts'

export const AUDIT_PROTOCOL = '/warren/audit/1'
/** A log that grows all the time tells its head so often: a cut hides no more than the last seconds. */
const TELL_MS = 10_000
/** Repeated although nothing changed, for peers that were told nothing. */
const REPEAT_MS = 10 * 60_000
/** Each new head goes to so many members, chosen anew each time; a few who know are enough, and a large fleet stays quiet. */
const FANOUT = 16
/** Tries to tell a connected peer, 5, 10 and 20 seconds apart. */
const MAX_TRIES = 4
const RETRY_MS = 5000
const STREAM_TIMEOUT_MS = 10_000
/** Peers asked at once. */
const AT_ONCE = 16
/** Telling and asking, each once, and one of each that is on its way out. */
const MAX_STREAMS = 4
/** Signatures that are verified in one go, some milliseconds of work. */
const HEADS_AT_ONCE = 25
/** Heads and questions of a peer: far more than the intervals above need. */
const REQUESTS = { perSecond: 1, burst: 20, maxKeys: 10_000 }
/** A request is a head, or a word. */
const MAX_REQUEST_BYTES = 2 * MAX_HEAD_BYTES
const MAX_ANSWER_BYTES = 1024 * 1024
/** What peers said is written together so often; what is lost in a crash comes again. */
const SAVE_MS = 60_000

export interface AuditHeadsOptions {
  readonly network: Network
  readonly audit: Audit
  /** `audit/heads` in the home. */
  readonly folder: string
  /** Whether a peer's heads are kept, and ours told to it. */
  readonly isMember: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Logger
}

/** The heads of audit logs, kept for one another. */
export interface AuditHeads {
  /** What this node keeps of another's log. */
  headsOf(node: string): Promise<KeptHeads>
  /** What this node keeps, of every node. */
  list(): Promise<KeptHeads[]>
  /** Ids of nodes whose log was found cut or rewritten since the start; for the problems of the daemon's status. */
  rewound(): readonly string[]
  /** Asks every connected member for what it keeps of this node's log. Rejects only with the signal's reason. */
  ask(options?: { signal?: AbortSignal }): Promise<PeerHeads[]>
  /** Ends it, and writes what is not on disk. */
  stop(): Promise<void>
}

/**
 * Tells members the head of this node's log: on connecting, within 10 s of new entries, and every 10 minutes; keeps
 * theirs, and gives each back what it said. A log that became shorter or another one is told to the own audit log.
 */
export function startAuditHeads(options: AuditHeadsOptions): AuditHeads {
  const { network, audit, isMember, clock, log } = options
  const store = new HeadStore(options)
  const stopping = new AbortController()
  const rewound = new Set<string>()
  const onRewound = (kept: KeptHeads): void => {
    rewound.add(kept.node)
    tellRewound(audit, kept)
  }
  const teller = new Teller(options, stopping.signal)
  const buckets = new TokenBuckets({ ...REQUESTS, clock })
  const members = (): string[] =>
    network
      .connections()
      .map(({ peer }) => peer)
      .filter(isMember)

  const answer = async (stream: Stream): Promise<void> => {
    // A peer that the roster does not name yet tries again.
    if (!isMember(stream.peer) || !buckets.take(stream.peer)) {
      stream.destroy()
      return
    }
    const answered = withTimeout('a request for audit heads', STREAM_TIMEOUT_MS, async (signal) => {
      const bytes = await readMessage(stream, { maxBytes: MAX_REQUEST_BYTES, signal })
      if (bytes !== undefined) await sendMessage(stream, await answerTo(bytes, stream.peer, { store, onRewound }))
      stream.end()
      stream.resume()
    })
    await answered.catch((error: unknown) => {
      log.debug({ peer: stream.peer, err: error }, 'a message about audit heads was not understood')
      stream.destroy()
    })
    limitTime(stream)
  }
  let timer: TimerHandle | undefined
  let toldMs = Number.NEGATIVE_INFINITY
  const tellSome = (): void => {
    timer ??= clock.setTimeout(
      () => {
        timer = undefined
        toldMs = clock.monotonicMs()
        for (const peer of shuffle(members()).slice(0, FANOUT)) teller.tell(peer)
      },
      Math.max(0, toldMs + TELL_MS - clock.monotonicMs()),
    )
    timer.unref?.()
  }
  const repeat = setInterval(() => {
    for (const peer of members()) teller.tell(peer)
  }, REPEAT_MS)
  const saving = setInterval(() => void store.save(), SAVE_MS)
  repeat.unref()
  saving.unref()
  const stops = [
    network.handle(AUDIT_PROTOCOL, answer, { maxStreamsPerPeer: MAX_STREAMS }),
    network.events.on('connected', ({ peer }) => teller.tell(peer)),
    network.events.on('disconnected', ({ peer }) => void store.release(peer)),
    audit.onGrowth(tellSome),
    () => timer !== undefined && clock.clearTimeout(timer),
    () => clearInterval(repeat),
    () => clearInterval(saving),
  ]
  return {
    headsOf: (node) => store.get(node),
    list: () => store.list(),
    rewound: () => [...rewound],
    ask: ({ signal = stopping.signal } = {}) =>
      mapLimited([...new Set(members())], AT_ONCE, (peer) => askPeer(network, peer, signal)),
    async stop() {
      stopping.abort()
      for (const stop of stops) stop()
      await store.save()
    },
  }
}

/** The answer to a request of a peer. Fails where it is not understood, and with `audit_head_invalid`. */
async function answerTo(
  bytes: Buffer,
  peer: string,
  { store, onRewound }: { store: HeadStore; onRewound: (kept: KeptHeads) => void },
) {
  const request = JSON.parse(bytes.toString('utf8')) as { type?: unknown; head?: unknown } | null
  if (request?.type === 'list') {
    const { heads, superseded } = await store.get(peer)
    return { type: 'heads', heads: [...superseded, ...heads].map(encodeHead) }
  }
  if (request?.type !== 'head') throw auditErrors.audit_head_invalid('a message about audit heads has an unknown type')
  const { verdict, kept } = await store.take(decodeHead(request.head, peer))
  if (verdict === 'rewound') onRewound(kept)
  return { type: 'kept' }
}

function tellRewound(audit: Audit, { node, rewinds }: KeptHeads): void {
  const rewind = rewinds.at(-1)
  if (rewind === undefined) return
  const { before, after } = rewind
  audit.tell({
    what: 'audit',
    outcome: 'failed',
    by: node,
    subject: 'rewound',
    reason: `its audit log was cut or rewritten: entry ${before.seq} was signed, then entry ${after.seq} of another log`,
    detail: { seq_before: before.seq, hash_before: before.hash, seq_after: after.seq, hash_after: after.hash },
  })
}

/** Tells peers the newest head: one message to a peer at a time, so that they arrive in order. */
class Teller {
  readonly #options: AuditHeadsOptions
  readonly #signal: AbortSignal
  /** True where there is something newer to say than what is on its way. */
  readonly #busy = new Map<string, boolean>()

  constructor(options: AuditHeadsOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  tell(peer: string): void {
    if (this.#busy.has(peer)) this.#busy.set(peer, true)
    else void this.#run(peer)
  }

  async #run(peer: string): Promise<void> {
    const { log } = this.#options
    do {
      this.#busy.set(peer, false)
      // Rejects only when it is stopped while it waits.
      await this.#tryToTell(peer).catch((error: unknown) => log.debug({ peer, err: error }, 'telling was given up'))
    } while (this.#busy.get(peer) === true && !this.#signal.aborted)
    this.#busy.delete(peer)
  }

  async #tryToTell(peer: string): Promise<void> {
    const { network, audit, isMember, clock, log } = this.#options
    const isConnected = (): boolean => network.connections().some((connection) => connection.peer === peer)
    for (let tries = 0; tries < MAX_TRIES && isConnected() && !this.#signal.aborted; tries++) {
      const head = isMember(peer) ? audit.head() : undefined
      try {
        if (head !== undefined) {
          await converse(network, peer, { message: { type: 'head', head: encodeHead(head) }, signal: this.#signal })
          return
        }
      } catch (error) {
        log.debug({ peer, err: error }, 'the head of the audit log did not reach a peer')
      }
      if (tries < MAX_TRIES - 1) await sleep(RETRY_MS * 2 ** tries, { signal: this.#signal, clock })
    }
  }
}

async function askPeer(network: Network, peer: string, signal: AbortSignal): Promise<PeerHeads> {
  try {
    const bytes = await converse(network, peer, { message: { type: 'list' }, signal })
    const { heads } = JSON.parse(bytes.toString('utf8')) as { heads?: unknown }
    if (!Array.isArray(heads)) throw auditErrors.audit_head_invalid('the answer holds no heads')
    // One of another key says nothing about this node's log, whoever sends it.
    const own: SignedAuditHead[] = []
    for (const [index, value] of heads.entries()) {
      own.push(...ownHead(value, network.id))
      // Each costs a verification.
      if (index % HEADS_AT_ONCE === 0) await setImmediate()
    }
    return { node: peer, heads: own }
  } catch (error) {
    signal.throwIfAborted()
    return { node: peer, failure: (error as Error).message }
  }
}

function ownHead(value: unknown, self: string): SignedAuditHead[] {
  try {
    return [decodeHead(value, self)]
  } catch {
    return []
  }
}

/** Sends one message and gives the answer. */
async function converse(
  network: Network,
  peer: string,
  { message, signal }: { message: object; signal: AbortSignal },
): Promise<Buffer> {
  return await withTimeout(
    'the talk about audit heads',
    STREAM_TIMEOUT_MS,
    async (limited) => {
      const stream = await network.open(peer, AUDIT_PROTOCOL, { signal: limited })
      try {
        await sendMessage(stream, message)
        stream.end()
        const answer = await readMessage(stream, { maxBytes: MAX_ANSWER_BYTES, signal: limited })
        if (answer === undefined) throw auditErrors.audit_head_invalid('the peer gave no answer')
        limitTime(stream.resume())
        return answer
      } catch (error) {
        stream.destroy()
        throw error
      }
    },
    { signal },
  )
}

/** Resets a stream that is still there after a while. */
function limitTime(stream: Stream): void {
  if (stream.closed) return
  const timer = setTimeout(() => stream.destroy(), STREAM_TIMEOUT_MS)
  timer.unref()
  stream.once('close', () => clearTimeout(timer))
}

function shuffle(peers: readonly string[]): string[] {
  return [...new Set(peers)]
    .map((peer) => ({ peer, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ peer }) => peer)
}
