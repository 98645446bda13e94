import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { serviceErrors } from './errors.ts'

/**
 * Joins two connections until both have closed: bytes, back-pressure and the end of either half go through both ways. One
 * that breaks resets the other. Resolves when both have ended in order, and rejects with what broke first. Takes both
 * over.
 */
export function splice(one: Duplex, other: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    let open = 2
    let failure: Error | undefined
    const follow = (self: Duplex, peer: Duplex): void => {
      self.on('error', (error) => {
        failure ??= error
      })
      const closed = (): void => {
        // Cut in the middle: the other side must not take it for an end.
        if (!self.readableEnded || !self.writableFinished) {
          failure ??= serviceErrors.service_removed('the connection was cut in the middle')
          reset(peer)
        }
        if (--open > 0) return
        if (failure === undefined) resolve()
        else reject(failure)
      }
      if (self.closed) closed()
      else self.once('close', closed)
    }
    follow(one, other)
    follow(other, one)
    one.pipe(other)
    other.pipe(one)
  })
}

/** Ends a connection so that its other side sees that it was cut: by RST, where it is TCP. */
export function reset(connection: Duplex): void {
  if (connection.destroyed) return
  if (!(connection instanceof Socket)) return void connection.destroy(new Error('the other side was cut'))
  // Sockets of other families have no RST.
  if (connection.remoteFamily === 'IPv4' || connection.remoteFamily === 'IPv6') connection.resetAndDestroy()
  else connection.destroy()
}
