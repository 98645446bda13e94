import type { Connection } from '@libp2p/interface'
import { Backoff } from '../../base/backoff.ts'
import type { TimerHandle } from '../../base/clock.ts'
import { toWarrenError } from '../../base/errors.ts'
import type { ConnectionTable } from '../connections.ts'
import type { Puncher, PunchOutcome } from '../punch/index.ts'
import type { NetworkInit } from '../types.ts'
import type { FailureBook } from './failures.ts'
import { MAX_PUNCHES, PUNCH_RETRY, PUNCH_SECOND_AFTER_MS } from './limits.ts'

/** What upgrading relayed connections needs. */
export interface UpgradesInit {
  /** This node's peer id. */
  readonly self: string
  readonly network: NetworkInit
  readonly table: ConnectionTable
  /** Undefined where nothing can be punched: only addresses are tried, then. */
  readonly puncher: Pick<Puncher, 'punch'> | undefined
  readonly failures: FailureBook
  /** A new connection to one of the peer's own addresses. */
  findDirect(peer: string, options: { signal: AbortSignal }): Promise<Connection>
  mayDial(peer: string): boolean
}

interface Upgrade {
  readonly backoff: Backoff
  timer: TimerHandle | undefined
  running: boolean
  /** The addresses were tried with the search that the relayed connection came from. */
  wasDialled: boolean
  /** Something has changed while it ran. */
  again: boolean
}

/**
 * Replaces relayed connections by direct ones: dials and punches as soon as a peer is connected over a relay alone, again after a
 * minute, two … half an hour, and at once when something has changed on either side.
 */
export class Upgrades {
  readonly #init: UpgradesInit
  readonly #upgrades = new Map<string, Upgrade>()
  readonly #stopping = new AbortController()
  #running = 0

  constructor(init: UpgradesInit) {
    this.#init = init
  }

  stop(): void {
    this.#stopping.abort(new Error('the network stops'))
    for (const { timer } of this.#upgrades.values())
      if (timer !== undefined) this.#init.network.clock.clearTimeout(timer)
    this.#upgrades.clear()
  }

  /** Call it whenever the connections with a peer are others than before. */
  look(peer: string): void {
    if (!this.#needs(peer)) return void this.#end(peer)
    if (this.#upgrades.has(peer)) return
    const wasDialled = this.#init.table.preferred(peer)?.direction === 'outbound'
    const backoff = new Backoff(PUNCH_RETRY)
    this.#upgrades.set(peer, { backoff, timer: undefined, running: false, wasDialled, again: false })
    this.#schedule(peer, this.#turnMs(peer))
  }

  /**
   * Call it when a relayed connection with a peer has come about. A punch over it does not wait until it has answered a
   * first request: the attempts that `look` begins then are the same one.
   */
  begin(peer: string, over: Connection): void {
    const { self, puncher, table, mayDial } = this.#init
    if (puncher === undefined || self > peer || this.#upgrades.has(peer) || this.#running >= MAX_PUNCHES) return
    if (!mayDial(peer) || table.preferred(peer, { direct: true }) !== undefined) return
    this.#running += 1
    const { signal } = this.#stopping
    const punched = puncher.punch(peer, { over, signal }).catch(() => undefined)
    void punched.then(() => {
      this.#running -= 1
    })
  }

  /** Tries at once: this peer, or with none named everybody, is reached otherwise than before. */
  retry(peer?: string): void {
    for (const [id, upgrade] of this.#upgrades) {
      if (peer !== undefined && id !== peer) continue
      upgrade.backoff.reset()
      if (upgrade.running) upgrade.again = true
      else this.#schedule(id, this.#turnMs(id))
    }
  }

  #needs(peer: string): boolean {
    const { table, mayDial } = this.#init
    return table.isConnected(peer) && table.preferred(peer, { direct: true }) === undefined && mayDial(peer)
  }

  /** Who dialled says nothing: two that look for each other at once are each dialled by the other. */
  #turnMs(peer: string): number {
    return this.#init.self < peer ? 0 : PUNCH_SECOND_AFTER_MS
  }

  #end(peer: string): void {
    const upgrade = this.#upgrades.get(peer)
    if (upgrade?.timer !== undefined) this.#init.network.clock.clearTimeout(upgrade.timer)
    this.#upgrades.delete(peer)
  }

  #schedule(peer: string, delayMs: number): void {
    const upgrade = this.#upgrades.get(peer)
    if (upgrade === undefined || this.#stopping.signal.aborted) return
    const { clock } = this.#init.network
    if (upgrade.timer !== undefined) clock.clearTimeout(upgrade.timer)
    upgrade.timer = clock.setTimeout(() => {
      upgrade.timer = undefined
      void this.#attempt(peer, upgrade)
    }, delayMs)
    upgrade.timer.unref?.()
  }

  async #attempt(peer: string, upgrade: Upgrade): Promise<void> {
    if (!this.#needs(peer)) return void this.#end(peer)
    if (this.#running >= MAX_PUNCHES) return this.#schedule(peer, PUNCH_SECOND_AFTER_MS)
    upgrade.running = true
    upgrade.again = false
    this.#running += 1
    const outcome = await this.#improve(peer, upgrade)
    this.#running -= 1
    upgrade.wasDialled = false
    upgrade.running = false
    if (this.#upgrades.get(peer) !== upgrade) return
    if (!this.#needs(peer)) return void this.#end(peer)
    const delayMs = outcome === 'hopeless' ? PUNCH_RETRY.maxMs : upgrade.backoff.next()
    this.#schedule(peer, upgrade.again ? 0 : delayMs)
  }

  /** Tries the peer's addresses and a punch side by side. */
  async #improve(peer: string, { wasDialled }: Upgrade): Promise<'direct' | 'failed' | 'hopeless'> {
    const { puncher, findDirect, failures } = this.#init
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, this.#stopping.signal])
    const direct = wasDialled
      ? Promise.resolve(false)
      : findDirect(peer, { signal }).then(
          () => true,
          () => false,
        )
    if (puncher === undefined) return (await direct) ? 'direct' : 'failed'
    void direct.then((found) => found && over.abort(new Error('an address answers')))
    // Why the last attempt failed is still to be seen while this one runs.
    failures.begin(peer)
    const outcome = await this.#punch(peer, { puncher, signal })
    if (outcome.ok || (await direct)) return 'direct'
    return outcome.permanent ? 'hopeless' : 'failed'
  }

  async #punch(
    peer: string,
    { puncher, signal }: { puncher: Pick<Puncher, 'punch'>; signal: AbortSignal },
  ): Promise<PunchOutcome> {
    const { table, failures, network } = this.#init
    let outcome: PunchOutcome
    try {
      outcome = await puncher.punch(peer, { signal })
      if (outcome.ok && outcome.connection !== null) await table.ready(outcome.connection)
    } catch (thrown) {
      outcome = { ok: false, reason: toWarrenError(thrown).message, permanent: false }
    }
    if (signal.aborted) return outcome
    network.counters.add('net_punches', 1, { outcome: outcome.ok ? 'direct' : 'failed' })
    if (outcome.ok) network.log.info({ peer, how: outcome.how, ms: outcome.ms }, 'a direct path was made')
    else {
      failures.note(peer, { way: 'punch', what: '', reason: outcome.reason })
      network.log.info({ peer, reason: outcome.reason }, 'no direct path could be made')
    }
    return outcome
  }
}
