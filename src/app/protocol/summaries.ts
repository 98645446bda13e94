import { z } from 'zod'
import { Backoff } from '../../base/backoff.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { sleep } from '../../base/wait.ts'
import { type Network, readMessage, type Stream, sendMessage } from '../../net/index.ts'
import { type AppRow, type AppStatus, appRowSchema } from '../contract.ts'

/** One message a stream: all apps of the sender, as they are now. */
export const SUMMARY_PROTOCOL = '/warren/app/1'
/** Changes of one moment (a stop and a start) go out as one message. */
const SETTLE_MS = 50
/** Repeated although nothing changed, in case a message was lost in spite of the tries; idle nodes are to be quiet. */
const REPEAT_MS = 10 * 60_000
/** Tries to tell a connected peer, 2, 4 and 8 seconds apart. */
const MAX_TRIES = 4
const RETRY_MS = 2000
/** A stream is one message; who has not taken or ended it by then never will. */
const STREAM_TIMEOUT_MS = 10_000
/** A node with more apps than this has its list cut; at 400 bytes a row it stays below a message's 1 MiB. */
const MAX_ROWS = 2000
/** Messages of one peer that are read at once. */
const MAX_STREAMS = 4

const wireRow = appRowSchema.omit({ node: true, seen: true }).extend({ digest: z.string().max(64).nullable() })
const wireSummary = z.object({ apps: z.array(wireRow).max(MAX_ROWS) })
type WireRow = z.output<typeof wireRow>

export interface SummariesOptions {
  readonly network: Network
  /** The apps of this node. */
  readonly own: () => readonly AppStatus[]
  /** Calls its listener whenever `own` has changed, or who is a member. */
  readonly onChange: (listener: () => void) => () => void
  /** Whether a peer is a member whose word about itself is shown, and whether to tell it ours. */
  readonly isMember: (peer: string) => boolean
  /** Whether a peer that is a member is told of this app; default: of all. */
  readonly maySee?: (peer: string, app: string) => boolean
  readonly nameOf: (peer: string) => string
  readonly clock: Clock
  readonly log: Logger
  /** Time for a stream, from its opening to its close. Default 10 s. */
  readonly streamTimeoutMs?: number
}

/** What each node said last of its apps. */
export interface Summaries {
  /** The apps of these nodes as they said last, of this node as they are. */
  rows(nodes: readonly string[]): AppRow[]
  /** What a node runs under an app's name, by its last word. */
  current(node: string, app: string): { readonly version: string; readonly digest: string } | undefined
  stop(): void
}

/**
 * Every node tells its peers what it runs, at each change and on connecting; so that `list` is answered at once, also
 * for nodes that are away, with the time of their last word. A node speaks for itself only.
 */
export function startSummaries(options: SummariesOptions): Summaries {
  const { network, own, isMember, nameOf, clock, streamTimeoutMs = STREAM_TIMEOUT_MS } = options
  const heard = new Map<string, { readonly atMs: number; readonly rows: readonly WireRow[] }>()
  const stopping = new AbortController()
  let settling: NodeJS.Timeout | undefined

  const isConnected = (peer: string): boolean => network.connections().some((connection) => connection.peer === peer)
  const tell = (peer: string): void => {
    // Rejects only when it is stopped while it waits.
    tellPeer(peer, { ...options, isConnected, streamTimeoutMs, signal: stopping.signal }).catch(() => undefined)
  }
  const tellAll = (): void => {
    for (const { peer } of network.connections()) tell(peer)
  }
  const changed = (): void => {
    clearTimeout(settling)
    settling = setTimeout(tellAll, SETTLE_MS)
  }
  const stops = [
    network.handle(
      SUMMARY_PROTOCOL,
      async (stream) => {
        limitTime(stream, streamTimeoutMs)
        const bytes = await readMessage(stream)
        stream.end()
        stream.resume()
        // Also of a peer whose statement has yet to come: only what the roster names is ever shown.
        if (bytes === undefined) return
        heard.set(stream.peer, { atMs: clock.now(), rows: wireSummary.parse(JSON.parse(bytes.toString('utf8'))).apps })
      },
      { maxStreamsPerPeer: MAX_STREAMS },
    ),
    network.events.on('connected', ({ peer }) => tell(peer)),
    network.events.on('disconnected', ({ peer }) => {
      const last = heard.get(peer)
      heard.delete(peer)
      if (last !== undefined && isMember(peer)) heard.set(peer, { ...last, atMs: clock.now() })
    }),
    options.onChange(changed),
  ]
  const repeat = setInterval(tellAll, REPEAT_MS)
  repeat.unref()

  const rowsOf = (node: string): AppRow[] => {
    if (node === network.id) return own().map((status) => appRowSchema.parse(status))
    const last = heard.get(node)
    // A connected node tells every change: its last word is how things are.
    const seen = new Date(isConnected(node) ? clock.now() : (last?.atMs ?? 0)).toISOString()
    return (last?.rows ?? []).map(({ digest: _digest, ...row }) => ({ ...row, node: nameOf(node), seen }))
  }
  return {
    rows: (nodes) => nodes.flatMap(rowsOf),
    current(node, app) {
      const rows: readonly WireRow[] = node === network.id ? own() : (heard.get(node)?.rows ?? [])
      const row = rows.find((each) => each.app === app)
      return row?.version == null || row.digest === null ? undefined : { version: row.version, digest: row.digest }
    },
    stop() {
      clearTimeout(settling)
      clearInterval(repeat)
      stopping.abort()
      for (const stop of stops) stop()
    },
  }
}

interface TellOptions extends SummariesOptions {
  readonly isConnected: (peer: string) => boolean
  readonly streamTimeoutMs: number
  readonly signal: AbortSignal
}

/** Sends a peer our apps, with some tries while it is connected. Rejects with the signal's reason. */
async function tellPeer(peer: string, options: TellOptions): Promise<void> {
  const { network, own, isMember, maySee, isConnected, clock, log, streamTimeoutMs, signal } = options
  const backoff = new Backoff({ minMs: RETRY_MS, maxMs: RETRY_MS * 2 ** MAX_TRIES })
  for (let tries = 0; tries < MAX_TRIES && isMember(peer) && isConnected(peer); tries++) {
    try {
      const stream = await network.open(peer, SUMMARY_PROTOCOL, { signal: AbortSignal.timeout(streamTimeoutMs) })
      limitTime(stream, streamTimeoutMs)
      const apps = own().filter(({ app }) => maySee?.(peer, app) ?? true)
      await sendMessage(stream, { apps: apps.slice(0, MAX_ROWS) })
      stream.end()
      stream.resume()
      return
    } catch (error) {
      log.debug({ peer, err: error }, 'the summary did not reach a peer')
    }
    await sleep(backoff.next(), { signal, clock })
  }
}

/** Resets a stream that is still there after a while. */
function limitTime(stream: Stream, timeoutMs: number): void {
  const timer = setTimeout(() => stream.destroy(), timeoutMs)
  timer.unref()
  stream.once('close', () => clearTimeout(timer))
}
