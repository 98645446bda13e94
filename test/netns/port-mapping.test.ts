import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { whyNoNamespaces } from './lan.ts'
import { type Namespaces, openNamespaces } from './namespaces.ts'

const PROGRAM = fileURLToPath(new URL('./port-mapping-process.ts', import.meta.url))
/** Public addresses, for the router maps nothing at one that is for documentation. */
const [OUTSIDE, ROUTER] = ['5.5.5.1', '5.5.5.9']
const PORT = 9010

const reason = whyNoNamespaces() ?? whyNoRouter()
if (reason !== undefined) process.stderr.write(`skipped: port mapping by a real router (${reason})\n`)

/** A CI machine gets what is missing. */
function whyNoRouter(): string | undefined {
  const isThere = (): boolean => {
    try {
      execFileSync('miniupnpd', ['--version'], { stdio: 'ignore' })
      return true
    } catch (error) {
      return (error as { code?: string }).code !== 'ENOENT'
    }
  }
  if (isThere()) return undefined
  if (process.env.CI === undefined) return 'miniupnpd is not installed: apt-get install -y miniupnpd'
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'miniupnpd'], { stdio: 'ignore', env })
  } catch {
    return 'miniupnpd cannot be installed'
  }
  return isThere() ? undefined : 'miniupnpd cannot be installed'
}

let namespaces: Namespaces
let [outside, router, host, folder] = ['', '', '', '']
const children: ChildProcess[] = []

const RULES = `flush ruleset
table inet filter {
  chain forward { type filter hook forward priority 0; policy accept;
    jump miniupnpd
    iifname wan0 ct state new drop
  }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; oifname wan0 masquerade; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`

beforeAll(() => {
  if (reason !== undefined) return
  folder = mkdtempSync(join(tmpdir(), 'warren-upnp-'))
  namespaces = openNamespaces()
  outside = namespaces.add('outside')
  router = namespaces.add('router')
  host = namespaces.add('host')
  namespaces.ip(router, [
    `link add wan0 type veth peer name eth0 netns ${outside}`,
    `link add lan0 type veth peer name eth0 netns ${host}`,
    `addr add ${ROUTER}/24 dev wan0`,
    'addr add 192.168.1.1/24 dev lan0',
    'link set wan0 up',
    'link set lan0 up',
    'route add 239.0.0.0/8 dev lan0',
    `route add default via ${OUTSIDE}`,
  ])
  namespaces.read(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1'])
  namespaces.ip(outside, [`addr add ${OUTSIDE}/24 dev eth0`, 'link set eth0 up'])
  namespaces.ip(host, ['addr add 192.168.1.2/24 dev eth0', 'link set eth0 up', 'route add default via 192.168.1.1'])
})

afterEach(async () => {
  for (const child of children.splice(0)) await stop(child)
})

afterAll(() => {
  if (reason !== undefined) return
  namespaces.removeAll()
  rmSync(folder, { recursive: true })
})

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** miniupnpd on the router, ready when it says so. */
async function startRouter(speaks: { pmp: boolean; upnp: boolean }, more: readonly string[] = []): Promise<void> {
  namespaces.nft(router, RULES)
  const yes = (on: boolean): string => (on ? 'yes' : 'no')
  const config = [
    'ext_ifname=wan0',
    'listening_ip=lan0',
    `enable_natpmp=${yes(speaks.pmp)}`,
    `enable_upnp=${yes(speaks.upnp)}`,
    'secure_mode=yes',
    'uuid=2f2a4d86-6e0a-4b9c-9a3f-0d7b3a1f6a11',
    'upnp_table_name=filter',
    'upnp_nat_table_name=filter',
    'allow 1024-65535 192.168.1.0/24 1024-65535',
    'deny 0-65535 0.0.0.0/0 0-65535',
    ...more,
  ]
  writeFileSync(join(folder, 'miniupnpd.conf'), `${config.join('\n')}\n`)
  const words = [
    'netns',
    'exec',
    router,
    'miniupnpd',
    '-d',
    '-f',
    join(folder, 'miniupnpd.conf'),
    '-P',
    join(folder, 'pid'),
  ]
  const child = spawn('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const heard: string[] = []
  await new Promise<void>((resolve, reject) => {
    const ready = /Listening for NAT-PMP|HTTP listening on port/
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output as NodeJS.ReadableStream }).on('line', (line) => {
        heard.push(line)
        if (ready.test(line)) resolve()
      })
    }
    child.once('exit', () => reject(new Error(`miniupnpd ended: ${heard.join('\n')}`)))
  })
}

type Line = Record<string, unknown> | string

function startHost(): { next(): Promise<Line>; end(): void } {
  const words = [
    'netns',
    'exec',
    host,
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    PROGRAM,
    String(PORT),
  ]
  const child = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  return {
    next: async () => JSON.parse((await lines.next()).value as string) as Line,
    end: () => void child.stdin?.end(),
  }
}

/** What somebody outside hears at a port of the router. */
function reach(port: number): string {
  const program = `const s = require('net').connect(${port}, '${ROUTER}')
    s.setTimeout(1500, () => s.destroy()).on('data', (d) => process.stdout.write(d)).on('error', () => {})`
  return namespaces.read(outside, [process.execPath, '-e', program])
}

const run = test.skipIf(reason !== undefined)

run.each([
  ['NAT-PMP', { pmp: true, upnp: false }],
  ['UPnP', { pmp: false, upnp: true }],
] as const)(
  'a router that speaks %s lets others in at the port, and no more when the node has stopped',
  async (by, speaks) => {
    await startRouter(speaks)
    const node = startHost()
    const both = await node.next()
    expect(both).toEqual({
      mapped: [`/ip4/${ROUTER}/tcp/${PORT}`],
      mappings: ['tcp', 'udp'].map((protocol) => ({
        protocol,
        port: PORT,
        externalHost: ROUTER,
        externalPort: PORT,
        by,
      })),
    })
    expect(reach(PORT)).toBe('here')
    node.end()
    expect(await node.next()).toEqual({ mapped: [], mappings: [] })
    expect(await node.next()).toBe('stopped')
    expect(namespaces.read(router, ['nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd'])).not.toContain(
      'dnat',
    )
    expect(reach(PORT)).toBe('')
  },
)

run('a router that gives no port is named with its reason', async () => {
  namespaces.nft(router, RULES)
  const silent = await startHost().next()
  expect(silent).toMatchObject({
    reason: expect.stringMatching(/192\.168\.1\.1 gives no port by NAT-PMP: .*by UPnP/),
  })
})

run('a router behind another NAT is of no use, and that is said', async () => {
  namespaces.ip(router, ['addr add 10.9.9.9/24 dev wan0', `addr del ${ROUTER}/24 dev wan0`])
  try {
    await startRouter({ pmp: true, upnp: true })
    expect(await startHost().next()).toMatchObject({ reason: expect.stringContaining('behind another NAT') })
  } finally {
    namespaces.ip(router, [`addr add ${ROUTER}/24 dev wan0`, 'addr del 10.9.9.9/24 dev wan0'])
  }
})
