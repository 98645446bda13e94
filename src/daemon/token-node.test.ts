import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiClient, connectLocal } from '../api/index.ts'
import { appCommands } from '../app/commands/index.ts'
import { runWords } from '../command/index.ts'
import {
  addNode,
  createNetworkKey,
  createSigner,
  encodeToken,
  type FoundedNetwork,
  foldersOf,
  foundNetwork,
  peerIdOf,
  Roster,
} from '../identity/index.ts'
import { tokenContract } from '../member/contract.ts'
import { rolloutCommands } from '../rollout/commands/index.ts'
import { daemonContract } from './contract.ts'
import { type RunningDaemon, startDaemon } from './start.ts'
import { startTokenNode } from './token-node.ts'

/** An admin, and a node that knows nobody but that admin, as daemons in this process. */
let folder: string
let network: FoundedNetwork
const daemons: RunningDaemon[] = []
let admin: ApiClient
let address: string

const env: Record<string, string | undefined> = { PATH: process.env.PATH }
const homeOf = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-job-'))
  // Tests beside this one leave homes of their own in the common one.
  env.TMPDIR = join(folder, 'tmp')
  await mkdir(env.TMPDIR)
  network = await foundNetwork({ ...foldersOf(homeOf('laptop')), name: 'laptop' })
  const other = foldersOf(homeOf('burrow'))
  const { publicKey } = await createSigner(join(other.keysFolder, 'node.key'))
  await addNode(network, { id: peerIdOf(publicKey), name: 'burrow', role: 'member' })
  await Roster.create({ folder: other.rosterFolder, genesis: network.roster.genesis })
  await start('laptop', [])
  admin = await connectLocal({ home: homeOf('laptop'), env })
  address = (await admin.call(daemonContract.status, {})).addresses[0] as string
  const { readNetworkKey } = await import('../identity/index.ts')
  const key = await readNetworkKey(join(foldersOf(homeOf('laptop')).keysFolder, 'network.key'))
  await createNetworkKey(join(other.keysFolder, 'network.key'), Buffer.from(key).toString('hex'))
  await start('burrow', [address])
})

afterAll(async () => {
  for (const name of ['laptop', 'burrow']) {
    const client = await connectLocal({ home: homeOf(name), env })
    await client.call(daemonContract.stop, { body: { apps: true } })
    client.close()
  }
  admin.close()
  for (const daemon of daemons) await daemon.stopped
  await rm(folder, { recursive: true, force: true })
})

async function start(name: string, peers: string[]): Promise<void> {
  const net = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, peers }
  await writeFile(join(homeOf(name), 'config.yaml'), JSON.stringify({ version: 1, net, logging: { level: 'error' } }))
  daemons.push(await startDaemon({ home: homeOf(name), configFile: undefined, env, listen: [] }))
}

async function writeApp(version: string): Promise<string> {
  const app = join(folder, `hello-${version}`)
  await mkdir(app)
  await writeFile(join(app, 'manifest.yaml'), `name: hello\nversion: ${version}\nentrypoint: ./run\n`)
  await writeFile(join(app, 'run'), '#!/bin/sh\necho greetings\nexec sleep 1000\n', { mode: 0o755 })
  return app
}

/** Runs words as a job does that has nothing but the token. */
async function job(token: string, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await runWords(
    {
      entries: [...rolloutCommands, ...appCommands],
      version: 'warren',
      tokenNode: startTokenNode,
      env: { ...env, WARREN_TOKEN: token, WARREN_HOME: homeOf('nowhere') },
      cwd: folder,
      stdin: Readable.from([]),
      stdout,
      stderr,
      program: [],
      signal: AbortSignal.timeout(60_000),
    },
    words,
  )
  stdout.end()
  stderr.end()
  return { code, out: String(await stdout.toArray()), err: String(await stderr.toArray()) }
}
const leftOver = async (): Promise<string[]> =>
  (await readdir(env.TMPDIR as string)).filter((name) => name.startsWith('warren-token-'))
const createToken = async (name: string, ...apps: string[]) =>
  await admin.call(tokenContract.create, { body: { name, role: 'operator', apps } })
const key = (): string => join(foldersOf(homeOf('laptop')).keysFolder, 'signing.key')

test('a job with a narrowed token deploys its app, reads it, and may do nothing else', async () => {
  const before = await leftOver()
  const { token } = await createToken('ci', 'hello')
  const deployed = await job(token, 'deploy', await writeApp('1.0.0'), '--all', '--key', key(), '--json')
  expect(deployed.err).not.toContain('error')
  const last = JSON.parse(deployed.out.trim().split('\n').at(-1) as string)
  // The other node has never heard of the job: it has the package from the admin.
  expect(last).toMatchObject({ ok: true, results: [{ node: 'burrow' }, { node: 'laptop' }] })
  expect(deployed.code).toBe(0)
  const logs = await job(token, 'logs', 'hello', '--on', 'laptop')
  expect(logs.out).toContain('greetings')
  expect((await job(token, 'app', 'status', 'hello', '--on', 'laptop')).out).toContain('running')
  const other = await job(token, 'deploy', await writeApp('1.0.1'), '--all', '--as', 'db', '--key', key())
  expect([other.code, other.err]).toEqual([4, expect.stringContaining('role_required')])
  const listed = await job(token, '--node', 'laptop', 'rollout', 'list', '--json')
  expect(JSON.parse(listed.out)).toMatchObject([{ app: 'hello', author: 'ci' }])
  expect(await leftOver()).toEqual(before)
})

test('a token that was removed is told so, and one whose admins are away says who was asked', async () => {
  const before = await leftOver()
  const { token, name } = await createToken('old', 'hello')
  await admin.call(tokenContract.remove, { params: { token: name } })
  const removed = await job(token, 'app', 'status', 'hello')
  expect([removed.code, removed.err]).toEqual([4, expect.stringContaining('token_unusable')])
  expect(removed.err).toContain('it was removed')
  const admins = [{ id: network.nodeId, addresses: ['/ip4/127.0.0.1/tcp/1'] }]
  const away = encodeToken({ networkId: network.networkId, seed: new Uint8Array(32).fill(7), admins, relays: [] })
  const found = await job(away, 'app', 'status', 'hello')
  expect([found.code, found.err]).toEqual([4, expect.stringContaining('no admin could be reached')])
  expect((await job('WRT-nonsense', 'app', 'status', 'hello')).err).toContain('token_invalid')
  expect(await leftOver()).toEqual(before)
})

test('a job that is stopped while its node comes up leaves nothing behind', async () => {
  const before = await leftOver()
  const { token } = await createToken('hasty', 'hello')
  const stop = new AbortController()
  const starting = startTokenNode(token, { env, signal: stop.signal })
  stop.abort(new Error('stopped by a signal'))
  await expect(starting).rejects.toThrow('stopped by a signal')
  const node = await startTokenNode(token, { env, signal: new AbortController().signal })
  await Promise.all([node.stop(), node.stop()])
  expect(await leftOver()).toEqual(before)
})

test('what a killed job has left is swept by the next one, and what another one uses is not', async () => {
  const { token } = await createToken('killed', 'hello')
  const signal = new AbortController().signal
  const running = await startTokenNode(token, { env, signal })
  const left = await mkdtemp(join(env.TMPDIR as string, 'warren-token-'))
  const young = await mkdtemp(join(env.TMPDIR as string, 'warren-token-'))
  const longAgo = new Date(Date.now() - 3_600_000)
  await Promise.all([left, running.home].map((home) => utimes(home, longAgo, longAgo)))
  const next = await startTokenNode(token, { env, signal })
  const homes = (await leftOver()).map((name) => join(env.TMPDIR as string, name))
  await Promise.all([running.stop(), next.stop(), rm(young, { recursive: true })])
  expect([left, young, running.home, next.home].map((home) => homes.includes(home))).toEqual([false, true, true, true])
})

test('once its node is up a job has no key on disk that a kill could leave behind', async () => {
  const { token } = await createToken('brief', 'hello')
  const node = await startTokenNode(token, { env, signal: new AbortController().signal })
  const keys = await readdir(foldersOf(node.home).keysFolder)
  await node.stop()
  expect(keys).toEqual([])
})
