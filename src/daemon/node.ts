import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Counters } from '../base/counters.ts'
import { openStateDatabase } from '../base/database.ts'
import type { Logger } from '../base/log.ts'
import type { ConfigValues } from '../config/index.ts'
import { openKeyring, Roster } from '../identity/index.ts'
import { createDirectory, createGate, startRosterExchange } from '../member/index.ts'
import { createNetwork } from '../net/index.ts'
import type { sections } from './sections.ts'

export interface NodeOptions {
  readonly config: ConfigValues<typeof sections>
  readonly log: Logger
  readonly clock: Clock
  readonly counters: Counters
  readonly version: string
}

/** A node without its features: who it is, its index, its connections, and the members of its network. */
export type Node = Awaited<ReturnType<typeof createNode>>

/**
 * Opens keys, roster and index, and makes the network with its rules. Nothing listens or dials yet. What must be ended
 * is put on the stack, which ends it in reverse order.
 */
export async function createNode(options: NodeOptions, stack: AsyncDisposableStack) {
  const { config, log, clock, counters, version } = options
  const data = config.storage.data_dir
  const logOf = (folder: string): Logger => log.child({ folder })

  const keyring = await openKeyring(config.storage.keys_dir, { networkKey: config.net.network_key })
  const roster = await Roster.open({ folder: join(data, 'roster'), clock, log: logOf('identity') })
  const database = openStateDatabase(join(data, 'state.db'), { nowMs: clock.now() })
  stack.defer(() => database.close())
  if (database.setAside !== undefined)
    log.warn({ file: database.setAside }, 'the index was unreadable; it is made again')

  const gate = await createGate({
    mode: config.net.gate,
    roster,
    file: config.net.authorized_peers,
    staticPeers: new Set(config.net.peers.map((address) => address.split('/p2p/')[1] ?? '')),
    log: logOf('member'),
  })
  stack.defer(() => gate.stop())
  const network = createNetwork({
    privateKey: keyring.nodeSeed,
    listen: config.net.listen,
    announce: config.net.announce,
    agent: `warren/${version}`,
    gate,
    proof: { networkId: () => roster.networkId, keys: () => [keyring.networkKey] },
    staticPeers: config.net.peers,
    mdns: config.net.mdns,
    clock,
    log: logOf('net'),
    counters,
  })
  stack.defer(() => network.stop())
  stack.defer(gate.onChange(() => network.recheck()))

  const directory = createDirectory({ roster, network, clock, version })
  stack.defer(() => directory.stop())
  const exchange = startRosterExchange({ network, roster, log: logOf('member'), counters })
  stack.defer(() => exchange.stop())

  return { data, logOf, keyring, roster, database, network, directory, exchange }
}
