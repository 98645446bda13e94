import type { Network } from '../net/index.ts'

/**
 * Notes which nodes refuse this one, until they take it again. A removed node hears of its removal from nobody: it is
 * told nothing any more, and this is how a person learns of it.
 */
export function watchAdmission({ network, nameOf }: { network: Network; nameOf: (id: string) => string | undefined }): {
  /** A sentence for people; undefined where nobody refuses. */
  problem(): string | undefined
  stop(): void
} {
  const refusedBy = new Set<string>()
  const stops = [
    network.events.on('refused', ({ peer, code, direction }) => {
      if (peer !== null && direction === 'outbound' && code === 'peer_refused') refusedBy.add(peer)
    }),
    network.events.on('connected', ({ peer }) => void refusedBy.delete(peer)),
  ]
  return {
    problem() {
      // Of a node that the roster no longer names it says nothing.
      const names = [...refusedBy].flatMap((peer) => nameOf(peer) ?? []).sort()
      if (names.length === 0) return undefined
      const what = names.length === 1 ? 'does not admit' : 'do not admit'
      return `${names.join(', ')} ${what} this node: it was removed from the network, or its membership has ended`
    },
    stop() {
      for (const stop of stops) stop()
    },
  }
}
