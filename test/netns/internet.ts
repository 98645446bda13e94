/**
 * A small internet on this machine: hosts, routers with the kinds of NAT, links that can be shaped, made lossy and cut.
 *
 *     const internet = makeInternet({
 *       routers: { home: { nat: 'EIM/APDF' }, office: { nat: 'APDM/APDF' } },
 *       hosts: { relay: {}, a: { behind: 'home' }, b: { behind: 'office' } },
 *     })
 *     try {
 *       spawn('ip', ['netns', 'exec', internet.namespaceOf('a'), ...])
 *       internet.bytesLetIn({ from: 'a', to: 'b' })
 *     } finally {
 *       internet.remove()
 *     }
 *
 * The backbone is one router that all others and the public hosts hang on by a cable each (a veth pair). Addresses are
 * those for documentation (RFC 5737). The hosts behind a router share a switch that does not know when the router is
 * gone, so that a host sees no link go down that is cut further away. The kernels this runs on have no netem, and no
 * other queue of tc(8) delays a packet that it could send: a cable with a delay is a process between two TUN devices.
 */
import { countsIn } from './counts.ts'
import { openNamespaces } from './namespaces.ts'
import type { Egress, NatKind } from './rules.ts'
import {
  addHost,
  addRouter,
  found,
  type Host,
  isRouter,
  makeBackbone,
  plugIn,
  raiseHost,
  reboot,
  setFault,
  type World,
} from './world.ts'

export interface LinkPlan {
  /** Both ways, as tc(8) writes it: `20mbit`. */
  readonly rate?: string
  /**
   * Each way takes so long more; for routers and public hosts, whose cable is then a process (delay-line.py) and so no
   * place to measure throughput. Needs python3 (`whyNoDelay`).
   */
  readonly delayMs?: number
}

export interface RouterPlan extends LinkPlan {
  readonly nat: NatKind
  readonly egress?: Egress
}

export interface HostPlan extends LinkPlan {
  /** A router; without one the host hangs on the backbone itself. */
  readonly behind?: string
}

export interface InternetPlan {
  readonly routers?: Readonly<Record<string, RouterPlan>>
  readonly hosts: Readonly<Record<string, HostPlan>>
}

export interface Internet {
  /** What `ip netns exec` wants. */
  namespaceOf(host: string): string
  /** The host's own address. */
  addressOf(host: string): string
  /** The address that others see: the host's own where it is public, else its router's. */
  outerAddressOf(host: string): string
  /**
   * Bytes (with IP headers) that came from a host into the network of another, past that one's NAT and filter: the
   * oracle for "direct". Counts from the addresses that `from` ever had outside, so it tells not apart those who share
   * a router; what stays behind one router is not seen.
   */
  bytesLetIn(way: { from: string; to: string; protocol?: 'tcp' | 'udp' }): number
  /**
   * Nothing passes until `restore`. At the router the host does not notice: its interface is up, what it sends gets lost.
   * At the host its interface is down.
   */
  cut(name: string, place: 'router' | 'host'): void
  restore(name: string): void
  /** A share of the packets of a router's or a public host's cable is lost, each way (0 to 1; 0 mends it). */
  lose(name: string, share: number): void
  /**
   * A router that has forgotten all mappings and flows, and uses ports that it has not used before; with `address: 'new'`
   * also another outer address, as after a new dial-in. With EIM/EIF the ports stay, so a new address is always taken.
   */
  reboot(router: string, options?: { address?: 'new' }): void
  /** Pulls the host's cable and puts it in elsewhere (a router, or none): another interface, another address. */
  move(host: string, behind: string | undefined): void
  /** Ends everything that runs in it, and takes it away. */
  remove(): void
}

/** Builds it. Needs root and network namespaces (`whyNoNamespaces`); what was built is gone after `remove()`, or when it fails. */
export function makeInternet(plan: InternetPlan): Internet {
  const namespaces = openNamespaces()
  try {
    const world = makeBackbone(namespaces)
    for (const [name, router] of Object.entries(plan.routers ?? {})) addRouter(world, name, router)
    for (const [name, host] of Object.entries(plan.hosts)) addHost(world, name, host)
    return interfaceOf(world)
  } catch (error) {
    namespaces.removeAll()
    throw error
  }
}

function interfaceOf(world: World): Internet {
  const host = (name: string): Host => found(world.hosts, name)
  return {
    namespaceOf: (name) => host(name).namespace,
    addressOf: (name) => host(name).address,
    outerAddressOf: (name) => host(name).outer.at(-1) as string,
    bytesLetIn: ({ from, to, protocol }) => {
      const there = host(to)
      const counts = isRouter(there.place)
        ? countsIn(world.namespaces, there.place.uplink.namespace, 'router')
        : countsIn(world.namespaces, world.backbone, 'backbone').filter(({ daddr }) => daddr === there.address)
      return counts
        .filter(({ saddr, l4proto }) => host(from).outer.includes(saddr) && (protocol ?? l4proto) === l4proto)
        .reduce((sum, { bytes }) => sum + bytes, 0)
    },
    cut: (name, place) => {
      if (place === 'host') world.namespaces.ip(host(name).namespace, ['link set eth0 down'])
      else setFault(world, name, { cut: true })
    },
    restore: (name) => {
      setFault(world, name, { cut: false })
      const restored = world.hosts.get(name)
      if (restored !== undefined) raiseHost(world, restored)
    },
    lose: (name, loss) => setFault(world, name, { loss }),
    reboot: (name, options = {}) => reboot(world, name, options),
    move: (name, behind) => {
      world.namespaces.ip(host(name).namespace, ['link del eth0'])
      plugIn(world, host(name), behind)
    },
    remove: () => world.namespaces.removeAll(),
  }
}
