import { type Network, type Stream, sendMessage } from '../../net/index.ts'
import type { ProgressUpdate } from '../progress.ts'
import { MAX_OUTBOX, ROLLOUT_PROTOCOL } from './constants.ts'
import type { Message } from './messages.ts'

/** What waits to be pushed to one peer, in order; of progress only the last of each node. */
export interface Outbox {
  push(message: Message): void
  progress(update: ProgressUpdate): void
  /** Gives up what waits and resets the stream. */
  close(): void
}

/**
 * An outbox for `peer`: opens one stream when there is something to say, keeps it, and sends at the peer's pace.
 * `onLost` is called once what was pushed may not have arrived; the outbox is then empty and may be used again.
 */
export function createOutbox({
  network,
  peer,
  onLost,
}: {
  network: Pick<Network, 'open'>
  peer: string
  onLost(error: unknown): void
}): Outbox {
  const messages: Message[] = []
  const latest = new Map<string, ProgressUpdate>()
  const closing = new AbortController()
  let stream: Stream | undefined
  let pumping = false
  // Its connection may go while the peer stays, by another one: nobody else hears that what was sent is lost.
  const forget = (gone: Stream): void => {
    if (stream !== gone) return
    stream = undefined
    if (!closing.signal.aborted) onLost(new Error(`the stream of pushes to ${peer} ended`))
  }

  const pump = async (): Promise<void> => {
    if (pumping) return
    pumping = true
    try {
      while (!closing.signal.aborted && messages.length + latest.size > 0) {
        const open = stream ?? watchEnd(await network.open(peer, ROLLOUT_PROTOCOL, { signal: closing.signal }), forget)
        stream = open
        await sendMessage(open, next(messages, latest))
      }
    } catch (error) {
      const broken = stream
      stream = undefined
      broken?.destroy()
      messages.length = 0
      latest.clear()
      if (!closing.signal.aborted) onLost(error)
    } finally {
      pumping = false
    }
  }

  return {
    push: (message) => {
      if (messages.length >= MAX_OUTBOX) {
        messages.length = 0
        onLost(new Error(`more than ${MAX_OUTBOX} statements wait for ${peer}`))
        return
      }
      messages.push(message)
      void pump()
    },
    progress: (update) => {
      latest.set(`${update.document} ${update.node}`, update)
      void pump()
    },
    close: () => {
      closing.abort(new Error('the peer is gone'))
      stream?.destroy()
    },
  }
}

/** The other side sends nothing here; reading lets the end and errors be seen. */
function watchEnd(stream: Stream, onGone: (stream: Stream) => void): Stream {
  stream.on('error', () => onGone(stream))
  stream.on('close', () => onGone(stream))
  return stream.resume()
}

function next(messages: Message[], latest: Map<string, ProgressUpdate>): Message {
  const message = messages.shift()
  if (message !== undefined) return message
  const [key, update] = [...latest][0] as [string, ProgressUpdate]
  latest.delete(key)
  return { type: 'progress', ...update }
}
