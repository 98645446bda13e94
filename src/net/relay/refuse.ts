import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { sendMessage } from '../frames.ts'
import { REFUSAL_LINGER_MS } from './constants.ts'

/**
 * Says a last word on a stream, ends it, and destroys it where the other side has not closed it in a second. Resolves
 * when it is closed; never rejects.
 */
export function sayLast(stream: Duplex, word: object, clock: Clock): Promise<void> {
  if (stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => stream.destroy(), REFUSAL_LINGER_MS)
    stream.once('close', () => {
      clock.clearTimeout(timer)
      resolve()
    })
    sendMessage(stream, word).catch(() => undefined)
    stream.end()
    // Else the end of the other side is never seen.
    stream.resume()
  })
}
