import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { type Network, readMessage, sendMessage } from '../../net/index.ts'
import { type AppRow, type AppStatus, appRowSchema } from '../contract.ts'

/** One message a stream: all apps of the sender, as they are now. */
export const SUMMARY_PROTOCOL = '/warren/app/1'
/** Changes of one moment (a stop and a start) go out as one message. */
const SETTLE_MS = 50
/** Repeated although nothing changed, in case a message was lost. */
const REPEAT_MS = 60_000
const SEND_TIMEOUT_MS = 10_000
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
  /** Calls its listener whenever `own` has changed. */
  readonly onChange: (listener: () => void) => () => void
  /** Whether a peer is a member whose word about itself is shown, and whether to tell it ours. */
  readonly isMember: (peer: string) => boolean
  readonly nameOf: (peer: string) => string
  readonly clock: Clock
  readonly log: Logger
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
  const { network, own, isMember, nameOf, clock, log } = options
  const heard = new Map<string, { readonly atMs: number; readonly rows: readonly WireRow[] }>()
  let settling: NodeJS.Timeout | undefined

  const tell = async (peer: string): Promise<void> => {
    if (!isMember(peer)) return
    try {
      const stream = await network.open(peer, SUMMARY_PROTOCOL, { signal: AbortSignal.timeout(SEND_TIMEOUT_MS) })
      await sendMessage(stream, { apps: own().slice(0, MAX_ROWS) })
      stream.end()
      stream.resume()
    } catch (error) {
      log.debug({ peer, err: error }, 'the summary did not reach a peer')
    }
  }
  const tellAll = (): void => {
    for (const { peer } of network.connections()) void tell(peer)
  }
  const changed = (): void => {
    clearTimeout(settling)
    settling = setTimeout(tellAll, SETTLE_MS)
  }
  const stops = [
    network.handle(
      SUMMARY_PROTOCOL,
      async (stream) => {
        const bytes = await readMessage(stream, { signal: AbortSignal.timeout(SEND_TIMEOUT_MS) })
        stream.end()
        stream.resume()
        if (bytes === undefined || !isMember(stream.peer)) return
        heard.set(stream.peer, { atMs: clock.now(), rows: wireSummary.parse(JSON.parse(bytes.toString('utf8'))).apps })
      },
      { maxStreamsPerPeer: MAX_STREAMS },
    ),
    network.events.on('connected', ({ peer }) => void tell(peer)),
    options.onChange(changed),
  ]
  const repeat = setInterval(tellAll, REPEAT_MS)
  repeat.unref()

  const rowsOf = (node: string): AppRow[] => {
    if (node === network.id) return own().map((status) => appRowSchema.parse(status))
    const last = heard.get(node)
    const seen = new Date(last?.atMs ?? 0).toISOString()
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
      for (const stop of stops) stop()
    },
  }
}
