/** What honest daemons say to each other, recorded by a node in the middle that passes it on. */
import type { Stream } from '../../src/net/index.ts'
import type { Daemon } from './daemon.ts'
import type { HostilePeer } from './hostile-peer.ts'

/** Enough for variety; the first of a kind are the short ones. */
const MAX_SAMPLES = 60
const MAX_SAMPLE_BYTES = 64 * 1024

/** What was said on the streams of one protocol. */
export interface Conversation {
  /** By the side that opened the stream. */
  readonly asked: Buffer[]
  readonly answered: Buffer[]
}

/** Both sides of every protocol, by its id. */
export type Conversations = Map<string, Conversation>

/** Takes a stream from one daemon and holds the same conversation with the other one, writing both sides down. */
export async function relayStream(
  stream: Stream,
  { peer, between, into }: { peer: HostilePeer; between: readonly Daemon[]; into: Conversations },
): Promise<void> {
  const other = between.find(({ id }) => id !== stream.peer) as Daemon
  const onward = await peer.network.open(other.id, stream.protocol)
  const found = into.get(stream.protocol) ?? { asked: [], answered: [] }
  into.set(stream.protocol, found)
  const closeBoth = (): void => {
    stream.destroy()
    onward.destroy()
  }
  passOn(stream, onward, found.asked)
  passOn(onward, stream, found.answered)
  stream.once('error', closeBoth)
  onward.once('error', closeBoth)
}

function passOn(from: Stream, to: Stream, samples: Buffer[]): void {
  const parts: Buffer[] = []
  let bytes = 0
  let kept = false
  const keep = (): void => {
    if (kept || bytes === 0 || samples.length >= MAX_SAMPLES) return
    kept = true
    samples.push(Buffer.concat(parts))
  }
  from.on('data', (part: Buffer) => {
    bytes += part.length
    if (bytes <= MAX_SAMPLE_BYTES) parts.push(part)
    if (!to.destroyed) to.write(part)
  })
  from.once('end', () => {
    keep()
    to.end()
  })
  from.once('close', keep)
}
