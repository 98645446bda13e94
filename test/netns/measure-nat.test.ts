import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NatReport } from '../../src/net/stun/index.ts'
import { whyNoNamespaces } from './lan.ts'
import { type Namespaces, openNamespaces } from './namespaces.ts'
import { LAN, type RouterRules, routerRules, WAN } from './rules.ts'

const PROGRAM = fileURLToPath(new URL('./stun-process.ts', import.meta.url))
const PORT = 9010
/** The server has two addresses; another one has one. */
const [SERVER, SECOND, OTHER, OUTER, HOST] = [
  '198.51.100.1',
  '198.51.100.2',
  '198.51.100.3',
  '198.51.100.9',
  '192.168.1.2',
]
const PUBLIC_HOST = '203.0.113.2'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: measuring NATs (${reason})\n`)

let namespaces: Namespaces
let router = ''
let host = ''
const servers: ChildProcess[] = []

/** Two servers and a router on one network; the host behind the router has a private address and a public one. */
beforeAll(async () => {
  if (reason !== undefined) return
  namespaces = openNamespaces()
  const outside = namespaces.add('outside')
  router = namespaces.add('router')
  host = namespaces.add('host')
  namespaces.ip(outside, ['link add br0 type bridge', 'link set br0 up'])
  const attach = (namespace: string, device: string, addresses: readonly string[]): void => {
    const link = `to${namespaces.read(outside, ['ls', '/sys/class/net']).split('\n').length}`
    namespaces.ip(outside, [`link add ${link} type veth peer name ${device} netns ${namespace}`])
    namespaces.ip(outside, [`link set ${link} master br0 up`])
    namespaces.ip(namespace, [...addresses.map((one) => `addr add ${one}/24 dev ${device}`), `link set ${device} up`])
  }
  for (const addresses of [[SERVER, SECOND], [OTHER]]) {
    const server = namespaces.add('server')
    attach(server, 'eth0', addresses)
    namespaces.ip(server, [`route add 203.0.113.0/24 via ${OUTER}`])
    servers.push(await serve(server))
  }
  attach(router, WAN, [OUTER])
  namespaces.ip(router, [`link add ${LAN} type veth peer name eth0 netns ${host}`])
  namespaces.ip(router, [
    `addr add 192.168.1.1/24 dev ${LAN}`,
    `addr add 203.0.113.1/24 dev ${LAN}`,
    `link set ${LAN} up`,
  ])
  namespaces.read(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
  namespaces.ip(host, [`addr add ${HOST}/24 dev eth0`, `addr add ${PUBLIC_HOST}/24 dev eth0`, 'link set eth0 up'])
})

afterAll(async () => {
  await Promise.all(servers.map(stop))
  if (reason === undefined) namespaces.removeAll()
})

async function serve(namespace: string): Promise<ChildProcess> {
  const words = ['netns', 'exec', namespace, process.execPath, '--disable-warning=ExperimentalWarning']
  const child = spawn('ip', [...words, PROGRAM, 'serve', String(PORT)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  return child
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** The router gets these rules and forgets what it knew. */
function beRouter(rules: RouterRules, more = ''): void {
  const isPublic = rules.nat === 'none'
  const own = isPublic ? PUBLIC_HOST : HOST
  namespaces.nft(router, `flush ruleset\n${routerRules(rules)}${more}`)
  namespaces.ip(host, [`route replace default via ${isPublic ? '203.0.113.1' : '192.168.1.1'} src ${own}`])
}

async function measure(...hosts: string[]): Promise<{ report: NatReport; ms: number; line: string }> {
  const words = ['netns', 'exec', host, process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, 'measure']
  const places = hosts.map((one) => `${one}:${PORT}`).join(',')
  const { stdout } = await promisify(execFile)('ip', [...words, places])
  return JSON.parse(stdout)
}

const run = test.skipIf(reason !== undefined)

run.each([
  ['none', 'none', 'EIF', true],
  ['EIM/EIF', 'EIM', 'EIF', true],
  ['EIM/APDF', 'EIM', 'APDF', true],
  ['APDM/APDF', 'APDM', 'APDF', false],
] as const)(
  'a NAT of the kind %s is told by one relay with two addresses, for UDP and TCP',
  async (nat, mapping, filtering, portPreserving) => {
    beRouter({ nat })
    const { report, ms, line } = await measure(SERVER)
    expect(report.udp).toEqual({ mapping, filtering, portPreserving })
    expect(report.tcp).toEqual({ mapping, portPreserving })
    expect(report.mapped).toBe(nat === 'none' ? PUBLIC_HOST : OUTER)
    expect(report.reason).toBeUndefined()
    expect(line.startsWith(nat === 'none' ? 'none' : nat)).toBe(true)
    process.stderr.write(`${nat} measured in ${ms.toFixed(0)} ms\n`)
  },
)

run('a NAT is told by two relays with one address each, and what these cannot tell is said', async () => {
  beRouter({ nat: 'EIM/APDF' })
  expect((await measure(OTHER, SECOND)).report).toMatchObject({
    udp: { mapping: 'EIM', filtering: 'APDF' },
    tcp: { mapping: 'EIM' },
  })
  beRouter({ nat: 'EIM/EIF' })
  const { report } = await measure(OTHER)
  expect(report).toMatchObject({ udp: { mapping: 'EIM', filtering: 'unknown' }, tcp: { mapping: 'EIM' } })
  expect(report.reason).toContain('EIF cannot be told from ADF')
})

run('a NAT that keeps no ports is told from one that gives each peer another', async () => {
  beRouter({ nat: 'EIM/APDF', ports: { from: 20_000, to: 29_999 } })
  const { report } = await measure(SERVER)
  expect(report.udp).toEqual({ mapping: 'EIM', filtering: 'APDF', portPreserving: false })
  expect(report.tcp).toEqual({ mapping: 'EIM', portPreserving: false })
})

run('a host with a public address behind a firewall is as one behind a NAT that keeps ports', async () => {
  const firewall = `table ip firewall { chain in { type filter hook forward priority 0;
    iifname ${WAN} ct state new drop
  }
}`
  beRouter({ nat: 'none' }, firewall)
  const { report } = await measure(SERVER)
  expect(report.udp).toEqual({ mapping: 'EIM', filtering: 'APDF', portPreserving: true })
  expect(report.tcp).toEqual({ mapping: 'EIM', portPreserving: true })
})

run('UDP that is blocked is named, and TCP measured all the same', async () => {
  beRouter({ nat: 'EIM/APDF', egress: { udp: false } })
  const { report, line } = await measure(SERVER, OTHER)
  expect(report).toMatchObject({
    udp: { mapping: 'blocked', filtering: 'unknown' },
    tcp: { mapping: 'EIM' },
    mapped: OUTER,
  })
  expect(line).toContain('UDP blocked')
})

run('a server that is down is made up for by the next, and where none answers nothing is claimed', async () => {
  beRouter({ nat: 'APDM/APDF' })
  const one = await measure('198.51.100.77', SERVER)
  expect(one.report.udp).toMatchObject({ mapping: 'APDM', filtering: 'APDF' })
  const none = await measure('198.51.100.77')
  expect(none.report).toMatchObject({ udp: { mapping: 'unknown' }, tcp: { mapping: 'unknown' }, mapped: null })
  expect(none.report.reason).toContain('no STUN server answered')
})
