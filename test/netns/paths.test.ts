/**
 * Nodes behind NATs find the best path there is, by what the routers let in and not by what the nodes say; and real
 * clients use services over it, direct and over a relay.
 */
import { userInfo } from 'node:os'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { install, prepareSshd, REDIS, SSH, sshOptions } from '../real-programs.ts'
import { type FourHomes, startFourHomes } from './four-homes.ts'
import type { Internet } from './internet.ts'
import { whyNoNamespaces } from './lan.ts'
import { endOf, type Machine, type Ran } from './warren-on.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: paths and services through NATs (${reason})\n`)
const skipped = reason !== undefined
const redis = skipped ? '' : install(REDIS)
const ssh = skipped ? '' : install(SSH)

const SERVICE = fileURLToPath(new URL('./service-process.ts', import.meta.url))
const [REDIS_PORT, SSH_PORT, OWN_PORT] = [6379, 2222, 7777]
const BIG_BYTES = 64 * 1024 * 1024
const SMALL_BYTES = 1024 * 1024
const DATAGRAMS = 200
/** More than the packets of a punch that get through; a connection's handshake is twice this much each way. */
const CONNECTION_BYTES = 2000
const WITHIN = { timeout: 60_000, interval: 200 }

type Host = keyof FourHomes['nodes']
let homes: FourHomes
let internet: Internet
const node = (host: Host): Machine => homes.nodes[host]

beforeAll(async () => {
  if (skipped) return
  homes = await startFourHomes()
  internet = homes.internet
  await Promise.all([serve(node('b')), serve(node('d'))])
})
afterAll(() => homes?.remove())

/** The path that a request to another took; undefined where it was not answered. */
async function pathTo(from: Host, to: Host): Promise<string | undefined> {
  const { out } = await node(from).run(['ping', to, '--count', '1', '--timeout', '3s', '--json'])
  const { latency_ms: ms, path } = JSON.parse(out) as { latency_ms?: number | null; path?: string }
  return typeof ms === 'number' ? path : undefined
}

/** Two services of a node, to every member: what service-process.ts does with TCP, and with datagrams. */
async function serve(machine: Machine): Promise<void> {
  const child = machine.startProgram([process.execPath, NO_WARNING, SERVICE, 'serve', String(OWN_PORT)])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await machine.must(['expose', 'half', String(OWN_PORT), '--to', 'member'])
  await machine.must(['expose', 'echo', String(OWN_PORT), '--udp', '--to', 'member'])
}

const NO_WARNING = '--disable-warning=ExperimentalWarning'

/** A program on a host, to its end. */
const runOn = (host: Host, words: readonly string[], input?: string): Promise<Ran> =>
  endOf(node(host).startProgram(words), input)

/** What service-process.ts saw. */
async function askOn<T>(host: Host, words: readonly string[]): Promise<T> {
  const { code, out, err } = await runOn(host, [process.execPath, NO_WARNING, SERVICE, ...words])
  expect(code, err).toBe(0)
  return JSON.parse(out) as T
}

/** The local port of a kept proxy. */
async function keep(host: Host, to: Host, service: string): Promise<string> {
  const words = ['proxy', to, service, '0', '--background']
  const { local } = await node(host).json<{ local: string[] }>(words)
  return local[0]?.split(':').at(-1) as string
}

const untilPath = async (from: Host, to: Host, path: 'direct' | 'relayed'): Promise<void> =>
  await expect.poll(() => pathTo(from, to), WITHIN).toBe(path)

/** Bytes that came from the one into the network of the other past their routers. */
const letIn = (from: Host, to: Host): number => internet.bytesLetIn({ from, to })

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
async function expectWhole(host: Host, port: string, bytes: number): Promise<void> {
  const { sent, there, here } = await askOn<Exchange>(host, ['send', port, String(bytes)])
  expect(sent.bytes).toBe(bytes)
  expect(there).toEqual(sent)
  expect(here).toEqual(sent)
}

/** Bytes that came in from each other, the fewer of both ways. */
const letInBothWays = (one: Host, other: Host): number => Math.min(letIn(one, other), letIn(other, one))

test.skipIf(skipped)('two nodes behind NATs that let in who was sent to have a direct path soon', async () => {
  await expect.poll(() => pathTo('a', 'b'), WITHIN).toBe('direct')
  expect(letInBothWays('a', 'b')).toBeGreaterThan(CONNECTION_BYTES)
  // The relay has other things to tell a node that has just come in.
  const goesDirect = async (): Promise<boolean> => {
    const before = { direct: letInBothWays('a', 'b'), relayed: internet.bytesLetIn({ from: 'relay', to: 'b' }) }
    await node('a').must(['ping', 'b', '--count', '20', '--interval', '20ms'])
    const direct = letInBothWays('a', 'b') - before.direct
    return direct > internet.bytesLetIn({ from: 'relay', to: 'b' }) - before.relayed
  }
  await expect.poll(goesDirect, WITHIN).toBe(true)
})

test.skipIf(skipped)(
  'two nodes behind NATs that no hole is punched through talk over the relay, and say why',
  async () => {
    await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
    const reasonToD = async (): Promise<unknown> => {
      const peers = await node('c').json<{ name: string | null; why?: string | null }[]>(['peers'])
      return peers.find(({ name }) => name === 'd')?.why
    }
    await expect.poll(reasonToD, WITHIN).toMatch(/\w+ \w+/)
    const before = internet.bytesLetIn({ from: 'relay', to: 'd' })
    await node('c').must(['ping', 'd', '--count', '20', '--interval', '20ms'])
    expect(internet.bytesLetIn({ from: 'relay', to: 'd' })).toBeGreaterThan(before)
    expect(letInBothWays('c', 'd')).toBeLessThan(CONNECTION_BYTES)
  },
)

test.skipIf(skipped || redis !== '')(`redis-cli reaches a redis behind another NAT directly${redis}`, async () => {
  const words = [
    'redis-server',
    '--port',
    String(REDIS_PORT),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--dir',
    homes.folder,
  ]
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
})

test.skipIf(skipped || ssh !== '')(`ssh reaches a machine behind another NAT directly${ssh}`, async () => {
  node('b')
    .startProgram(await prepareSshd(homes.folder, SSH_PORT))
    .stderr.resume()
  const knock = ['bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${SSH_PORT}`]
  await expect.poll(async () => (await runOn('b', knock)).code, WITHIN).toBe(0)
  await node('b').must(['expose', 'ssh', String(SSH_PORT), '--to', 'a'])
  await untilPath('a', 'b', 'direct')
  const options = sshOptions(homes.folder, [...node('a').warren, 'proxy', 'b', 'ssh', '-'].join(' '))
  const command = 'sort; ip -4 -brief address show dev eth0 >&2; exit 7'
  const before = letIn('b', 'a')
  const sorted = await runOn('a', ['ssh', ...options, `${userInfo().username}@b`, command], 'b\na\n')
  expect(sorted).toMatchObject({ code: 7, out: 'a\nb\n', err: expect.stringContaining(internet.addressOf('b')) })
  expect(letIn('b', 'a')).toBeGreaterThan(before + 1000)
})

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
)

test.skipIf(skipped)('datagrams come back over a direct path; some are late, where packets are lost', async () => {
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
})

test.skipIf(skipped)('64 MiB each way, and datagrams, arrive whole over a relay', async () => {
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
})

// The last one: what it leaves behind is a relay that knows nobody yet.
test.skipIf(skipped)('a relay that is killed and started again carries the same nodes again', async () => {
  await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
  homes.relay.crash()
  expect(await pathTo('c', 'd')).toBeUndefined()
  await homes.relay.startDaemon()
  await expect.poll(() => pathTo('c', 'd'), WITHIN).toBe('relayed')
  await expect.poll(() => pathTo('d', 'c'), WITHIN).toBe('relayed')
})
