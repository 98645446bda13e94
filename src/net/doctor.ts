import { type Check, type Finding, lookAt } from '../base/check.ts'
import { tryToListen } from './listening.ts'
import { describeNat } from './stun/index.ts'
import type { Network } from './types.ts'

/** A clock that is this far off signs what others take for old or for too new, and ends memberships early or late. */
const CLOCK_WARN_MS = 5_000
const CLOCK_FAIL_MS = 60_000

/** A node of the network, as far as it matters here. */
interface KnownNode {
  readonly id: string
  readonly name: string
  readonly state: 'self' | 'up' | 'down'
}

interface NetworkCheckOptions {
  readonly network: Network
  /** `net.listen` of the config. */
  readonly listen: readonly string[]
  readonly nodes: () => readonly KnownNode[]
}

/** Looks at the ways between this node and the others: ports, NAT, relays, clocks, and who is out of reach and why. */
export async function checkNetwork({ network, listen, nodes }: NetworkCheckOptions): Promise<Check[]> {
  const names = new Map(nodes().map(({ id, name }) => [id, name]))
  const nameOf = (id: string): string => names.get(id) ?? `…${id.slice(-8)}`
  return Promise.all([
    lookAt('ports', () => checkListening(network.addresses(), listen)),
    lookAt('peers', () => checkPeers(network, nodes())),
    lookAt('nat', () => checkNat(network)),
    lookAt('relays', () => checkRelays(network, nameOf)),
    lookAt('table', () => checkTable(network)),
    lookAt('clock', () => checkClock(network, nameOf)),
  ])
}

/** Looks whether the ports that a daemon would listen on are free. */
export async function checkPortsFree(listen: readonly string[]): Promise<Check[]> {
  const check = await lookAt('ports', async () => {
    for (const address of listen) {
      const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? []
      const code = host === undefined || port === '0' ? undefined : await tryToListen(host, Number(port))
      if (code === undefined) continue
      const isTaken = code === 'EADDRINUSE'
      return {
        outcome: 'failed',
        message: isTaken
          ? `another program listens on ${address}`
          : `this machine cannot listen on ${address} (${code})`,
        hint: isTaken
          ? `See which: ss -ltnp 'sport = :${port}'    or choose another port with net.listen in config.yaml`
          : 'Check net.listen in config.yaml: the address must be one of this machine, ports below 1024 need root.',
      }
    }
    return { outcome: 'ok', message: `${listen.join(', ')} can be listened on` }
  })
  return [check]
}

function checkListening(addresses: readonly string[], listen: readonly string[]): Finding {
  if (listen.length === 0) return { outcome: 'skipped', message: 'this node only dials (net.listen is empty)' }
  if (addresses.length > 0) return { outcome: 'ok', message: `listens on ${listen.join(', ')}` }
  return { outcome: 'failed', message: 'it listens nowhere', hint: 'Check net.listen in config.yaml, and daemon.log.' }
}

function checkPeers(network: Network, nodes: readonly KnownNode[]): Finding {
  const others = nodes.filter(({ state }) => state !== 'self')
  if (others.length === 0) {
    return { outcome: 'skipped', message: 'there is no other node in this network', hint: 'Invite one: warren invite' }
  }
  const up = others.filter(({ state }) => state === 'up')
  const relayed = up.filter(({ id }) => network.path(id).state === 'relayed')
  const message = `connected with ${up.length} of ${others.length}, directly with ${up.length - relayed.length}`
  const [missing] = others.filter(({ state }) => state === 'down')
  if (missing === undefined) return { outcome: 'ok', message }
  const why = network.path(missing.id).why
  return {
    outcome: up.length === 0 ? 'failed' : 'warning',
    message: `${message}; ${missing.name} is out of reach${why === null ? '' : `: ${why}`}`,
    hint: `Is its daemon running? Try: warren ping ${missing.name}`,
  }
}

function checkNat(network: Network): Finding {
  const { nat, mapped, reachability } = network.reach()
  if (reachability === 'public') {
    const asked = mapped.length > 0 ? ` (the router forwards ${mapped.join(', ')})` : ''
    return { outcome: 'ok', message: `others can dial this node${asked}` }
  }
  if (nat === null) {
    return { outcome: 'skipped', message: 'no relay of this network is there to tell what lies between' }
  }
  const isHard = nat.udp.mapping === 'APDM' || nat.tcp.mapping === 'APDM' || nat.udp.mapping === 'blocked'
  return {
    outcome: isHard ? 'warning' : 'ok',
    message: describeNat(nat),
    hint: 'Forward the TCP port of net.listen on the router to this machine, or let Warren ask for it: warren config set net.port_mapping true',
  }
}

function checkRelays(network: Network, nameOf: (id: string) => string): Finding {
  const { reachability, relays, reservations, relay } = network.reach()
  const serves = relay === null ? '' : `; is one itself, for ${relay.reservations.length} nodes`
  if (reachability === 'public') return { outcome: 'ok', message: `needs none${serves}` }
  if (relays.length === 0) {
    return {
      outcome: relay === null ? 'skipped' : 'ok',
      message: `this network has none that this node knows${serves}`,
      hint: 'One is needed where nodes are behind different routers: docs/guide/relays.md',
    }
  }
  if (reservations.length > 0) {
    return {
      outcome: 'ok',
      message: `can be reached over ${reservations.map((each) => nameOf(each.relay)).join(', ')}${serves}`,
    }
  }
  const [first = ''] = relays
  const why = network.path(first).why
  return {
    outcome: 'failed',
    message: `no relay keeps a way to this node open; ${nameOf(first)}: ${why ?? 'it gives no reservation'}`,
    hint: `Try: warren ping ${nameOf(first)}    and on it: warren relay status`,
  }
}

function checkTable(network: Network): Finding {
  const { dht } = network
  if (dht === null) return { outcome: 'skipped', message: 'this node takes no part in it (net.dht)' }
  const peers = new Set(network.connections().map(({ peer }) => peer)).size
  if (peers > 0 && dht.size() === 0) {
    return { outcome: 'warning', message: `no contact, though ${peers} nodes are connected`, hint: 'warren bootstrap' }
  }
  const contacts = `${dht.size()} contact${dht.size() === 1 ? '' : 's'}`
  return { outcome: 'ok', message: `${contacts} in the private table` }
}

function checkClock(network: Network, nameOf: (id: string) => string): Finding {
  const { clocks } = network.reach()
  if (clocks.length === 0) return { outcome: 'skipped', message: 'no other node to compare with' }
  // Half of the others would have to be wrong for the one in the middle to be.
  const sorted = clocks.toSorted((a, b) => a.offsetMs - b.offsetMs)
  const middle = sorted[Math.floor(sorted.length / 2)] as (typeof sorted)[number]
  const awayMs = Math.max(0, Math.abs(middle.offsetMs) - middle.boundMs)
  const seconds = Math.round(Math.abs(middle.offsetMs) / 1000)
  const others = clocks.length === 1 ? nameOf(middle.peer) : `the ${clocks.length} nodes it was compared with`
  if (awayMs < CLOCK_WARN_MS) return { outcome: 'ok', message: `agrees with ${others}` }
  return {
    outcome: awayMs < CLOCK_FAIL_MS ? 'warning' : 'failed',
    message: `${seconds} s ${middle.offsetMs > 0 ? 'behind' : 'ahead of'} ${others}`,
    hint: 'timedatectl set-ntp true    or set it by hand',
  }
}
