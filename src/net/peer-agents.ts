/** What another program calls itself is shown to people: this much of it, and nothing that moves a cursor. */
const MAX_AGENT_CHARACTERS = 64

/** What connected peers say that they are, such as `warren/1.2.0`. */
export class PeerAgents {
  readonly #agents = new Map<string, string>()

  note(peer: string, said: string): void {
    const agent = said
      .slice(0, 2 * MAX_AGENT_CHARACTERS)
      .replaceAll(/[^\x20-\x7e]/g, '')
      .slice(0, MAX_AGENT_CHARACTERS)
    if (agent !== '') this.#agents.set(peer, agent)
  }

  of(peer: string): string | null {
    return this.#agents.get(peer) ?? null
  }

  forget(peer: string): void {
    this.#agents.delete(peer)
  }
}
