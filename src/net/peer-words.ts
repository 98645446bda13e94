import type { IdentifyResult } from '@libp2p/interface'
import { MAX_ADDRESSES_PER_PEER } from './constants.ts'
import type { Host } from './host.ts'

/** What another program calls itself is shown to people: this much of it, and nothing that moves a cursor. */
const MAX_AGENT_CHARACTERS = 64

/** What connected peers say of themselves: the program that they are, and where they listen. */
export class PeerWords {
  readonly #agents = new Map<string, string>()
  readonly #listening = new Map<string, readonly string[]>()

  /** Hears what peers say from now on; `onAddresses` of where they say that they listen. */
  watch(host: Host, onAddresses: (peer: string, addresses: readonly string[]) => void): void {
    host.addEventListener('peer:identify', ({ detail }: CustomEvent<IdentifyResult>) => {
      const peer = detail.peerId.toString()
      const listens = detail.listenAddrs.slice(0, MAX_ADDRESSES_PER_PEER).map(String)
      this.#listening.set(peer, listens)
      onAddresses(peer, listens)
      const agent = (detail.agentVersion ?? '').replaceAll(/[^\x20-\x7e]/g, '').slice(0, MAX_AGENT_CHARACTERS)
      if (agent !== '') this.#agents.set(peer, agent)
    })
  }

  agentOf(peer: string): string | null {
    return this.#agents.get(peer) ?? null
  }

  addressesOf(peer: string): readonly string[] {
    return this.#listening.get(peer) ?? []
  }

  forget(peer: string): void {
    this.#agents.delete(peer)
    this.#listening.delete(peer)
  }
}
