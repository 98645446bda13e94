/** Services between nodes behind NATs, used by real clients: over a direct path and over a relay. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { install, prepareSshd, REDIS, SSH, sshOptions } from '../real-programs.ts'
import { type Internet, makeInternet } from './internet.ts'
import { whyNoNamespaces } from './lan.ts'
import { addressOf, endOf, enter, type Machine, type Ran, warrenOn } from './warren-on.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: services through NATs (${reason})\n`)
const skipped = reason !== undefined
const redis = skipped ? '' : install(REDIS)
const ssh = skipped ? '' : install(SSH)

const SERVICE = fileURLToPath(new URL('./service-process.ts', import.meta.url))
const [REDIS_PORT, SSH_PORT, OWN_PORT] = [6379, 2222, 7777]
const BIG_BYTES = 64 * 1024 * 1024
const SMALL_BYTES = 1024 * 1024
const DATAGRAMS = 200
const WITHIN = { timeout: 25_000, interval: 200 }
const LIMIT_MS = 120_000

let folder: string
let internet: Internet
const nodes: Record<string, Machine> = {}
const node = (host: string): Machine => nodes[host] as Machine

beforeAll(async () => {
  if (skipped) return
  folder = await mkdtemp(join(tmpdir(), 'warren-services-'))
  internet = makeInternet({
    routers: {
      home: { nat: 'EIM/APDF' },
      office: { nat: 'EIM/APDF' },
      cellar: { nat: 'APDM/APDF' },
      attic: { nat: 'APDM/APDF' },
    },
    hosts: {
      relay: {},
      a: { behind: 'home' },
      b: { behind: 'office' },
      c: { behind: 'cellar' },
      d: { behind: 'attic' },
    },
  })
  const relay = await warrenOn({ internet, host: 'relay', folder, env: { WARREN_RELAY_SERVE: 'always' } })
  await enter(relay)
  const env = { WARREN_RELAY_SERVERS: await addressOf(relay, internet) }
  const bringIn = async (host: string): Promise<void> => {
    nodes[host] = await warrenOn({ internet, host, folder, env })
    await enter(nodes[host], relay)
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(bringIn))
  await Promise.all(['b', 'd'].map((host) => serve(node(host))))
}, LIMIT_MS)
afterAll(async () => {
  if (skipped) return
  internet.remove()
  await rm(folder, { recursive: true, force: true })
})

/** Two services of a node, to every member: what service-process.ts does with TCP, and with datagrams. */
async function serve(machine: Machine): Promise<void> {
  const child = machine.startProgram([process.execPath, NO_WARNING, SERVICE, 'serve', String(OWN_PORT)])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await machine.must(['expose', 'half', String(OWN_PORT), '--to', 'member'])
  await machine.must(['expose', 'echo', String(OWN_PORT), '--udp', '--to', 'member'])
}

const NO_WARNING = '--disable-warning=ExperimentalWarning'

/** A program on a host, to its end. */
const runOn = (host: string, words: readonly string[], input?: string): Promise<Ran> =>
  endOf(node(host).startProgram(words), input)

/** What service-process.ts saw. */
async function askOn<T>(host: string, words: readonly string[]): Promise<T> {
  const { code, out, err } = await runOn(host, [process.execPath, NO_WARNING, SERVICE, ...words])
  expect(code, err).toBe(0)
  return JSON.parse(out) as T
}

/** The local port of a kept proxy. */
async function keep(host: string, to: string, service: string): Promise<string> {
  const words = ['proxy', to, service, '0', '--background']
  const { local } = await node(host).json<{ local: string[] }>(words)
  return local[0]?.split(':').at(-1) as string
}

async function untilPath(from: string, to: string, path: 'direct' | 'relayed'): Promise<void> {
  const look = async (): Promise<unknown> => {
    const { out } = await node(from).run(['ping', to, '--count', '1', '--timeout', '3s', '--json'])
    return (JSON.parse(out) as { path?: string }).path
  }
  await expect.poll(look, WITHIN).toBe(path)
}

/** Bytes that came from the one into the network of the other past their routers. */
const letIn = (from: string, to: string): number => internet.bytesLetIn({ from, to })

interface Exchange {
  readonly sent: { readonly bytes: number }
  readonly there: object
  readonly here: object
}
interface Echo {
  readonly sent: number
  readonly back: number
  readonly wrong: number
}

/** So many bytes there, answered when the half has ended, and as many back. */
async function expectWhole(host: string, port: string, bytes: number): Promise<void> {
  const { sent, there, here } = await askOn<Exchange>(host, ['send', port, String(bytes)])
  expect(sent.bytes).toBe(bytes)
  expect(there).toEqual(sent)
  expect(here).toEqual(sent)
}

test.skipIf(skipped || redis !== '')(
  `redis-cli reaches a redis behind another NAT directly${redis}`,
  async () => {
    const words = ['redis-server', '--port', String(REDIS_PORT), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
    node('b').startProgram(words).stdout.resume()
    await node('b').must(['expose', 'redis', String(REDIS_PORT), '--to', 'a'])
    await untilPath('a', 'b', 'direct')
    const port = await keep('a', 'b', 'redis')
    const ask = (...command: string[]) => runOn('a', ['redis-cli', '-p', port, ...command])
    await expect.poll(() => ask('ping'), WITHIN).toMatchObject({ out: 'PONG\n' })
    const before = letIn('a', 'b')
    expect(await runOn('a', ['redis-cli', '-p', port, '-x', 'set', 'burrow'], 'x'.repeat(1_000_000))).toMatchObject({
      out: 'OK\n',
    })
    expect(letIn('a', 'b') - before).toBeGreaterThan(1_000_000)
    expect(await ask('strlen', 'burrow')).toMatchObject({ out: '1000000\n' })
  },
  LIMIT_MS,
)

test.skipIf(skipped || ssh !== '')(
  `ssh reaches a machine behind another NAT directly${ssh}`,
  async () => {
    node('b')
      .startProgram(await prepareSshd(folder, SSH_PORT))
      .stderr.resume()
    await node('b').must(['expose', 'ssh', String(SSH_PORT), '--to', 'a'])
    await untilPath('a', 'b', 'direct')
    const options = sshOptions(folder, [...node('a').warren, 'proxy', 'b', 'ssh', '-'].join(' '))
    const command = 'sort; ip -4 -brief address show dev eth0 >&2; exit 7'
    const before = letIn('b', 'a')
    const sorted = await runOn('a', ['ssh', ...options, `${userInfo().username}@b`, command], 'b\na\n')
    expect(sorted).toMatchObject({ code: 7, out: 'a\nb\n', err: expect.stringContaining(internet.addressOf('b')) })
    expect(letIn('b', 'a')).toBeGreaterThan(before + 1000)
  },
  LIMIT_MS,
)

test.skipIf(skipped)(
  'over a direct path a half ends on its own, and what is lost on the way comes all the same',
  async () => {
    await untilPath('a', 'b', 'direct')
    const port = await keep('a', 'b', 'half')
    await expectWhole('a', port, SMALL_BYTES)
    internet.lose('office', 0.01)
    try {
      await expectWhole('a', port, SMALL_BYTES)
    } finally {
      internet.lose('office', 0)
    }
  },
  LIMIT_MS,
)

test.skipIf(skipped)(
  'datagrams come back over a direct path; some are late, where packets are lost',
  async () => {
    await untilPath('a', 'b', 'direct')
    const port = await keep('a', 'b', 'echo')
    expect(await askOn<Echo>('a', ['datagrams', port, String(DATAGRAMS)])).toEqual({
      sent: DATAGRAMS,
      back: DATAGRAMS,
      wrong: 0,
    })
    internet.lose('office', 0.01)
    try {
      const { back, wrong } = await askOn<Echo>('a', ['datagrams', port, String(DATAGRAMS)])
      expect(wrong).toBe(0)
      expect(back).toBeGreaterThan(DATAGRAMS / 2)
    } finally {
      internet.lose('office', 0)
    }
  },
  LIMIT_MS,
)

test.skipIf(skipped)(
  '64 MiB each way, and datagrams, arrive whole over a relay',
  async () => {
    await untilPath('c', 'd', 'relayed')
    const port = await keep('c', 'd', 'half')
    const before = { relayed: internet.bytesLetIn({ from: 'relay', to: 'd' }), direct: letIn('c', 'd') }
    await expectWhole('c', port, BIG_BYTES)
    expect(internet.bytesLetIn({ from: 'relay', to: 'd' }) - before.relayed).toBeGreaterThan(BIG_BYTES)
    expect(letIn('c', 'd') - before.direct).toBeLessThan(BIG_BYTES / 1000)
    const echo = await keep('c', 'd', 'echo')
    expect(await askOn<Echo>('c', ['datagrams', echo, String(DATAGRAMS)])).toEqual({
      sent: DATAGRAMS,
      back: DATAGRAMS,
      wrong: 0,
    })
  },
  LIMIT_MS,
)
