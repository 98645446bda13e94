import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { TellDecision } from '../base/decisions.ts'
import { toWarrenError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { type AuthorizedPeer, type Roster, readAuthorizedPeers } from '../identity/index.ts'
import type { Direction, Gate, GateVerdict } from '../net/index.ts'

/** An editor writes a file in several steps; they count as one. */
const SETTLE_MS = 50
/** A membership runs out without an event; its connections end at most this much later. */
const EXPIRY_CHECK_MS = 10_000

/** The rules of the gate, and when they may have changed. */
export interface MemberGate extends Gate {
  /** Ids that the `authorized_peers` file admits on this node. */
  authorized(): readonly AuthorizedPeer[]
  /** Calls `listener` whenever another answer may be due: the roster or the file has changed, or a membership ran out. */
  onChange(listener: () => void): () => void
  stop(): void
}

export interface GateOptions {
  /** `net.gate`: members of the roster, all who prove the network key, or the same with strangers allowed out. */
  readonly mode: 'roster' | 'network' | 'open'
  readonly roster: Roster
  /** The static list; it is watched. */
  readonly file: string
  /** Ids of configured static peers, to which this node may always dial. */
  readonly staticPeers: ReadonlySet<string>
  readonly log: Logger
  /** Hears of each change of the file, and of one that could not be read. */
  readonly tell?: TellDecision
  /** How often to look for memberships that ran out. Default 10 s. */
  readonly expiryCheckMs?: number
}

/**
 * Who may be connected (NET-4). A removal in the roster outranks everything; then members of the roster, nodes and
 * tokens alike, and the peers in `authorized_peers` are in. A node that waits to be confirmed is out in every mode. Fails with `authorized_peers_invalid` where the file is bad at the start; a file that
 * turns bad later is logged, and the last good one goes on to count.
 */
export async function createGate(options: GateOptions): Promise<MemberGate> {
  const { mode, roster, file, staticPeers, log, tell, expiryCheckMs = EXPIRY_CHECK_MS } = options
  let authorized = await readAuthorizedPeers(file)
  const listeners = new Set<() => void>()
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  const reload = async (): Promise<void> => {
    try {
      authorized = await readAuthorizedPeers(file)
      log.info({ file, peers: authorized.length }, 'authorized peers read again')
      tell?.({ ...TOLD, outcome: 'done', detail: { peers: authorized.length } })
      changed()
    } catch (error) {
      log.error({ file, err: error }, 'authorized peers are unreadable; the last good list goes on to count')
      const { code, message } = toWarrenError(error)
      tell?.({ ...TOLD, outcome: 'failed', reason: `${code}: ${message}` })
    }
  }
  const stopWatching = watchFile(file, () => void reload())
  let admitted = admittedBy(roster)
  // Most changes of the roster change nobody's admission, and each would be asked of every connection.
  const review = (): void => {
    const before = admitted
    admitted = admittedBy(roster)
    if (admitted !== before) changed()
  }
  const stopRoster = roster.onChange(review)
  const expiry = setInterval(review, expiryCheckMs)
  expiry.unref()

  const allow = (peer: string, direction: Direction): GateVerdict => {
    if (roster.state.removed.has(peer)) return { allowed: false, reason: 'it was removed from the network' }
    if (authorized.some(({ id }) => id === peer)) return { allowed: true }
    if (roster.state.nodes.get(peer)?.waiting === true)
      return { allowed: false, reason: 'it joined by an invite that was used too often, and waits for an admin' }
    if (mode !== 'roster' || roster.roleOf(peer) !== undefined) return { allowed: true }
    if (direction === 'outbound' && staticPeers.has(peer)) return { allowed: true }
    return { allowed: false, reason: 'it is not in the roster, nor in authorized_peers' }
  }
  return {
    allow,
    authorized: () => authorized,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    stop() {
      clearInterval(expiry)
      stopWatching()
      stopRoster()
    },
  }
}

const TOLD = { what: 'config', by: 'local', subject: 'authorized_peers' } as const

/** Equal for rosters that admit, keep waiting and remove the same ids. */
function admittedBy(roster: Roster): string {
  const { nodes, removed } = roster.state
  const ids = [...nodes.keys()].filter((id) => roster.rightsOf(id) !== undefined)
  const waiting = [...nodes.values()].flatMap(({ id, waiting }) => (waiting ? [id] : []))
  return [...ids, '', ...waiting, '', ...removed].join(' ')
}

/** Watches the folder, because the file may be made, replaced or removed. */
function watchFile(file: string, onChange: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const watcher: FSWatcher = watch(dirname(file), { persistent: false }, (_event, name) => {
    if (name !== basename(file)) return
    clearTimeout(timer)
    timer = setTimeout(onChange, SETTLE_MS)
  })
  watcher.on('error', () => watcher.close())
  return () => {
    clearTimeout(timer)
    watcher.close()
  }
}
