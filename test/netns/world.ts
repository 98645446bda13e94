/** The pieces of an internet (internet.ts): backbone, routers, hosts, and the cables between them. */
import { fileURLToPath } from 'node:url'
import type { HostPlan, LinkPlan, RouterPlan } from './internet.ts'
import type { Namespaces } from './namespaces.ts'
import { BACKBONE_RULES, faultRules, LAN, routerRules, WAN } from './rules.ts'

/** The address of the backbone on every cable (TEST-NET-1). */
const BACKBONE_ADDRESS = '192.0.2.1'
/** A router keeps it when it is rebooted, and so what its hosts know of it; each has a network of its own. */
const ROUTER_MAC = '02:00:5e:00:53:01'
/**
 * Ports that a NAT takes after a reboot, in turn. None of them was in use before, and none is one that a host would choose
 * (32768 and on): one in the range would be kept.
 */
const LATER_PORTS = [
  { from: 10_000, to: 19_999 },
  { from: 20_000, to: 29_999 },
]

/** Python, which Node cannot replace here: it has no ioctl(2). */
const DELAY_LINE = fileURLToPath(new URL('./delay-line.py', import.meta.url))

/** What hangs on the backbone. */
export interface Uplink {
  readonly namespace: string
  /** The end of the cable at the backbone. */
  readonly link: string
  readonly address: string
  cut: boolean
  loss: number
}

/** The network behind a router, whose first address is the router's. */
interface Subnet {
  /** Up to the last dot. */
  readonly prefix: string
  readonly base: number
  readonly length: number
}

export interface Router {
  readonly plan: RouterPlan
  /** Its bridge among the switches. */
  readonly bridge: string
  readonly subnet: Subnet
  uplink: Uplink
  reboots: number
  lastHost: number
}

export interface Host {
  readonly plan: HostPlan
  readonly namespace: string
  address: string
  place: Router | Uplink
  /** What it was seen as from outside, the present one last. */
  readonly outer: string[]
}

export interface World {
  readonly namespaces: Namespaces
  readonly backbone: string
  readonly switches: string
  readonly routers: Map<string, Router>
  readonly hosts: Map<string, Host>
  serial: number
  /** The last outer address given. */
  outer: number
}

/** A backbone with nothing on it. */
export function makeBackbone(namespaces: Namespaces): World {
  const backbone = namespaces.add('backbone')
  const switches = namespaces.add('switches')
  forward(namespaces, backbone)
  namespaces.nft(backbone, BACKBONE_RULES)
  return { namespaces, backbone, switches, routers: new Map(), hosts: new Map(), serial: 0, outer: 9 }
}

/** A router on the backbone, with a switch for its hosts. */
export function addRouter(world: World, name: string, plan: RouterPlan): void {
  const serial = ++world.serial
  const bridge = `b${serial}`
  world.namespaces.ip(world.switches, [`link add ${bridge} type bridge`, `link set ${bridge} up`])
  const router = { plan, bridge, subnet: subnetOf(world, plan), reboots: 0, lastHost: 1 }
  const uplink = startRouter(world, name, router)
  world.routers.set(name, { ...router, uplink })
}

/** Private addresses behind a NAT, public ones (TEST-NET-3) behind none. */
function subnetOf({ routers, serial }: World, { nat }: RouterPlan): Subnet {
  if (nat !== 'none') return { prefix: `192.168.${serial}`, base: 0, length: 24 }
  const before = [...routers.values()].filter(({ plan }) => plan.nat === 'none').length
  return { prefix: '203.0.113', base: before * 16, length: 28 }
}

function addressIn({ prefix, base }: Subnet, index: number): string {
  return `${prefix}.${base + index}`
}

type ColdRouter = Pick<Router, 'plan' | 'bridge' | 'subnet' | 'reboots'> & { readonly address?: string | undefined }

/** A router that has seen nothing yet, with its two cables. */
function startRouter(world: World, name: string, router: ColdRouter): Uplink {
  const { namespaces, switches } = world
  const { plan, bridge, subnet, reboots, address } = router
  const namespace = namespaces.add(name)
  forward(namespaces, namespace)
  const ports = reboots === 0 ? undefined : LATER_PORTS[reboots % LATER_PORTS.length]
  namespaces.nft(
    namespace,
    routerRules({ nat: plan.nat, ...(plan.egress && { egress: plan.egress }), ...(ports && { ports }) }),
  )
  const inner = `r${++world.serial}`
  namespaces.ip(namespace, [`link add ${LAN} address ${ROUTER_MAC} type veth peer name ${inner} netns ${switches}`])
  namespaces.ip(switches, [`link set ${inner} master ${bridge} up`])
  namespaces.ip(namespace, [`addr add ${addressIn(subnet, 1)}/${subnet.length} dev ${LAN}`, `link set ${LAN} up`])
  const uplink = plugIntoBackbone(world, { namespace, device: WAN, plan, address })
  if (plan.nat === 'none') {
    const network = `${addressIn(subnet, 0)}/${subnet.length}`
    namespaces.ip(world.backbone, [`route replace ${network} via ${uplink.address} dev ${uplink.link} onlink`])
  }
  return uplink
}

interface Cable {
  readonly namespace: string
  readonly device: string
  readonly plan: LinkPlan
  /** Default: one that was not used before (TEST-NET-2). */
  readonly address: string | undefined
}

function plugIntoBackbone(world: World, { namespace, device, plan, address }: Cable): Uplink {
  const { namespaces, backbone } = world
  const link = `u${++world.serial}`
  const uplink = {
    namespace,
    link,
    address: address ?? `198.51.100.${++world.outer}`,
    cut: false,
    loss: 0,
  }
  if (plan.delayMs === undefined) {
    namespaces.ip(namespace, [`link add ${device} type veth peer name ${link} netns ${backbone}`])
  } else
    joinByDelay(namespaces, {
      delayMs: plan.delayMs,
      near: { namespace, device },
      far: { namespace: backbone, device: link },
    })
  namespaces.ip(namespace, [
    `addr add ${uplink.address}/32 dev ${device}`,
    `link set ${device} up`,
    `route add ${BACKBONE_ADDRESS} dev ${device} scope link`,
    `route add default via ${BACKBONE_ADDRESS} dev ${device}`,
  ])
  namespaces.ip(backbone, [
    `addr add ${BACKBONE_ADDRESS}/32 dev ${uplink.link}`,
    `link set ${uplink.link} up`,
    `route replace ${uplink.address} dev ${uplink.link} scope link`,
  ])
  if (plan.rate !== undefined) {
    shape(namespaces, { namespace, device }, plan.rate)
    shape(namespaces, { namespace: backbone, device: uplink.link }, plan.rate)
  }
  return uplink
}

/** A host on the backbone, or behind a router that is there. */
export function addHost(world: World, name: string, plan: HostPlan): void {
  const namespace = world.namespaces.add(name)
  const host: Host = { plan, namespace, address: '', place: undefined as unknown as Uplink, outer: [] }
  plugIn(world, host, plan.behind)
  world.hosts.set(name, host)
}

/** Puts the cable of a host in. */
export function plugIn(world: World, host: Host, behind: string | undefined): void {
  const { namespace, plan } = host
  if (behind === undefined) {
    const uplink = plugIntoBackbone(world, { namespace, device: 'eth0', plan, address: undefined })
    host.address = uplink.address
    host.place = uplink
  } else {
    const router = found(world.routers, behind)
    const link = `h${++world.serial}`
    world.namespaces.ip(namespace, [`link add eth0 type veth peer name ${link} netns ${world.switches}`])
    world.namespaces.ip(world.switches, [`link set ${link} master ${router.bridge} up`])
    host.address = addressIn(router.subnet, ++router.lastHost)
    host.place = router
    world.namespaces.ip(namespace, [`addr add ${host.address}/${router.subnet.length} dev eth0`])
    raiseHost(world, host)
    if (plan.rate !== undefined) {
      shape(world.namespaces, { namespace, device: 'eth0' }, plan.rate)
      shape(world.namespaces, { namespace: world.switches, device: link }, plan.rate)
    }
  }
  host.outer.push(outerOf(host))
}

function outerOf({ place, address }: Host): string {
  return isRouter(place) && place.plan.nat !== 'none' ? place.uplink.address : address
}

/** The interface up, with the routes that it loses when it goes down. */
export function raiseHost(world: World, { namespace, place }: Host): void {
  const gateway = isRouter(place) ? addressIn(place.subnet, 1) : BACKBONE_ADDRESS
  world.namespaces.ip(namespace, [
    'link set eth0 up',
    ...(isRouter(place) ? [] : [`route replace ${gateway} dev eth0 scope link`]),
    `route replace default via ${gateway} dev eth0`,
  ])
}

/** A router without memory in the place of the one that was there. */
export function reboot(world: World, name: string, options: { address?: 'new' }): void {
  const router = found(world.routers, name)
  const { cut, loss, address } = router.uplink
  world.namespaces.remove(router.uplink.namespace)
  router.reboots++
  const another = options.address === 'new' || router.plan.nat === 'EIM/EIF'
  router.uplink = { ...startRouter(world, name, { ...router, address: another ? undefined : address }), cut, loss }
  renderFaults(world)
  for (const host of world.hosts.values()) if (host.place === router) host.outer.push(outerOf(host))
}

/** Cuts or spoils the cable that a host or a router has to the backbone. */
export function setFault(world: World, name: string, fault: { cut?: boolean; loss?: number }): void {
  const place = world.routers.get(name) ?? found(world.hosts, name).place
  Object.assign(isRouter(place) ? place.uplink : place, fault)
  renderFaults(world)
}

function renderFaults({ namespaces, backbone, routers, hosts }: World): void {
  const places = [...routers.values(), ...[...hosts.values()].map(({ place }) => place)]
  const uplinks = new Set(places.map((place) => (isRouter(place) ? place.uplink : place)))
  namespaces.nft(backbone, faultRules([...uplinks]))
}

/** Whether a host is behind a router, and not on the backbone itself. */
export function isRouter(place: Router | Uplink): place is Router {
  return 'uplink' in place
}

interface Device {
  readonly namespace: string
  readonly device: string
}

/** The burst holds the largest packet that an interface hands on (64 KiB); what waits longer than 50 ms is dropped. */
function shape(namespaces: Namespaces, { namespace, device }: Device, rate: string): void {
  const words = ['tc', 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', rate, 'burst', '128kb', 'latency', '50ms']
  namespaces.read(namespace, words)
}

interface DelayLine {
  readonly delayMs: number
  readonly near: Device
  readonly far: Device
}

/** A cable out of two TUN devices; it is gone with the near namespace, in which the process lives that carries its packets. */
function joinByDelay(namespaces: Namespaces, { delayMs, near, far }: DelayLine): void {
  const ends = [near, far].flatMap(({ namespace, device }) => [namespace, device])
  namespaces.read(near.namespace, ['python3', DELAY_LINE, String(delayMs), ...ends])
}

function forward(namespaces: Namespaces, namespace: string): void {
  namespaces.read(namespace, ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
}

/** One of them by name. */
export function found<T>(all: ReadonlyMap<string, T>, name: string): T {
  const one = all.get(name)
  if (one === undefined) throw new Error(`nothing here is called ${name}; there are ${[...all.keys()].join(', ')}`)
  return one
}
