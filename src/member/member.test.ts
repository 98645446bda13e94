import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { createClient, createRouter, defineCall, defineStream, implement } from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import { rejectOnAbort } from '../base/wait.ts'
import {
  addNode,
  createSigner,
  foundNetwork,
  loadSigner,
  openKeyring,
  peerIdOf,
  Roster,
  rawPrivateKey,
  removeNode,
} from '../identity/index.ts'
import { createNetwork, type Network } from '../net/index.ts'
import { createDirectory, createForwarder, createGate, createStanding, openPeerDoor, startRosterSync } from './index.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const whoami = defineCall({
  method: 'GET',
  path: '/v1/whoami',
  role: 'viewer',
  summary: 'Who',
  response: z.object({ id: z.string(), role: z.string() }),
})
const forever = defineStream({
  method: 'GET',
  path: '/v1/forever',
  role: 'viewer',
  summary: 'Never ends',
  event: z.object({ n: z.number() }),
})

async function makeFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'warren-member-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A network founded by `alpha`, and a way to make further members that know of it. */
async function found() {
  const folder = await makeFolder()
  const keysFolder = join(folder, 'keys')
  const founded = await foundNetwork({
    keysFolder,
    rosterFolder: join(folder, 'roster'),
    name: 'alpha',
    labels: { site: 'home' },
  })
  const keyring = await openKeyring(keysFolder)
  const author = {
    roster: founded.roster,
    authority: await loadSigner(join(keysFolder, 'authority.key')),
    authorId: founded.nodeId,
  }
  return { folder, founded, keyring, author }
}

async function makeMember(home: Awaited<ReturnType<typeof found>>, name: string, role?: 'viewer' | 'member') {
  const folder = await makeFolder()
  const path = join(folder, 'node.key')
  const id = peerIdOf((await createSigner(path)).publicKey)
  if (role !== undefined) await addNode(home.author, { id, name, role, labels: { site: 'office', arch: 'arm64' } })
  const roster = await Roster.create({ folder: join(folder, 'roster'), genesis: home.founded.roster.genesis })
  return { folder, id, seed: await rawPrivateKey(path), roster }
}

interface Made {
  readonly roster: Roster
  readonly seed: Uint8Array
  readonly folder: string
}

async function startNode(
  { roster, seed, folder }: Made,
  networkKey: Uint8Array,
  mode: 'roster' | 'network' = 'roster',
) {
  const counters = new Counters()
  const gate = await createGate({
    mode,
    roster,
    file: join(folder, 'authorized_peers'),
    staticPeers: new Set(),
    log: silentLogger,
  })
  const network = createNetwork({
    privateKey: seed,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    agent: 'warren/0.1.0',
    gate,
    proof: { networkId: () => roster.networkId, keys: () => [networkKey] },
    staticPeers: [],
    mdns: false,
    clock: systemClock,
    log: silentLogger,
    counters,
  })
  gate.onChange(() => network.recheck())
  const directory = createDirectory({ roster, network, clock: systemClock, version: '0.1.0' })
  const standing = createStanding({ roster, selfId: network.id, clock: systemClock })
  const author = () => undefined
  const exchange = startRosterSync({
    network,
    roster,
    standing,
    author,
    log: silentLogger,
    counters,
    clock: systemClock,
  })
  let left = () => {}
  const streamLeft = new Promise<void>((resolve) => {
    left = resolve
  })
  const router = createRouter({
    log: silentLogger,
    whomToAsk: () => 'alpha',
    routes: [
      implement(whoami, ({ caller }) => ({ id: caller.id, role: caller.rights.role })),
      implement(forever, async function* ({ signal }) {
        yield { n: 1 }
        await rejectOnAbort(signal).catch(left)
      }),
    ],
  })
  const close = openPeerDoor({
    network,
    router,
    rightsOf: (peer) => roster.rightsOf(peer),
    whenExchanged: (peer) => exchange.whenExchanged(peer),
    headersTimeoutMs: 1000,
  })
  await network.start()
  cleanups.push(async () => {
    close()
    exchange.stop()
    standing.stop()
    gate.stop()
    directory.stop()
    await network.stop()
  })
  return { network, directory, exchange, roster, folder, streamLeft }
}
type Node = Awaited<ReturnType<typeof startNode>>

/** A client of `from`'s local door that passes on to `node`. */
async function clientVia(from: Node, node: string) {
  const forward = createForwarder(from)
  const server = createServer(
    (request: IncomingMessage, response) => void forward(request, response, { node, answer: () => response.destroy() }),
  ).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return createClient({ open: async () => connect(port, '127.0.0.1') })
}
const once = (network: Network, name: 'connected' | 'disconnected') =>
  new Promise<string>((resolve) => {
    const off = network.events.on(name, ({ peer }) => {
      off()
      resolve(peer)
    })
  })
const changed = (roster: Roster, until: () => boolean) =>
  new Promise<void>((resolve) => {
    if (until()) return resolve()
    const off = roster.onChange(() => {
      if (!until()) return
      off()
      resolve()
    })
  })

async function pair(role: 'viewer' | 'member' = 'viewer') {
  const home = await found()
  const made = await makeMember(home, 'beta', role)
  await made.roster.merge(home.founded.roster.entriesAfter([]))
  const alpha = await startNode(
    { roster: home.founded.roster, seed: home.keyring.nodeSeed, folder: home.folder },
    home.keyring.networkKey,
  )
  const beta = await startNode(made, home.keyring.networkKey)
  await beta.network.connect(alpha.network.addresses()[0] as string)
  return { home, alpha, beta }
}

test('a statement made on one node is on the other as soon as they are connected, and each later one too', async () => {
  const home = await found()
  const made = await makeMember(home, 'beta', 'member')
  await made.roster.merge(home.founded.roster.entriesAfter([]))
  const later = await makeMember(home, 'gamma', 'member')
  expect(made.roster.state.nodes.has(later.id)).toBe(false)
  const alpha = await startNode(
    { roster: home.founded.roster, seed: home.keyring.nodeSeed, folder: home.folder },
    home.keyring.networkKey,
  )
  const beta = await startNode(made, home.keyring.networkKey)
  await beta.network.connect(alpha.network.addresses()[0] as string)
  await changed(made.roster, () => made.roster.state.nodes.has(later.id))
  const last = await makeMember(home, 'delta', 'member')
  await changed(made.roster, () => made.roster.state.nodes.has(last.id))
  expect(made.roster.digest()).toBe(home.founded.roster.digest())
})

test('a call through another node’s door carries the role that the roster gives the caller', async () => {
  const { alpha, beta } = await pair('viewer')
  const client = await clientVia(beta, 'alpha')
  expect(await client.call(whoami, {})).toEqual({ id: beta.network.id, role: 'viewer' })
  const back = await clientVia(alpha, 'beta')
  expect(await back.call(whoami, {})).toEqual({ id: alpha.network.id, role: 'admin' })
})

test('a member without a role for calls is refused with whom to ask', async () => {
  const { beta } = await pair('member')
  const client = await clientVia(beta, 'alpha')
  await expect(client.call(whoami, {})).rejects.toMatchObject({
    code: 'role_required',
    hint: expect.stringContaining('alpha'),
  })
})

test('a reader that leaves ends the work at the far node', async () => {
  const { alpha, beta } = await pair('viewer')
  const client = await clientVia(beta, 'alpha')
  for await (const _event of client.stream(forever, {})) break
  await alpha.streamLeft
})

test('passing on to a node that is unknown or away says which', async () => {
  const { home, beta } = await pair('viewer')
  await expect((await clientVia(beta, 'nobody')).call(whoami, {})).rejects.toMatchObject({ code: 'node_not_found' })
  const away = await makeMember(home, 'gamma', 'member')
  await changed(beta.roster, () => beta.roster.state.nodes.has(away.id))
  await expect((await clientVia(beta, 'gamma')).call(whoami, {})).rejects.toMatchObject({
    code: 'node_unreachable',
    status: 503,
  })
})

test('a removed node loses its connection at once and is not let in again', async () => {
  const { home, alpha, beta } = await pair('viewer')
  const gone = once(beta.network, 'disconnected')
  await removeNode(home.author, beta.network.id)
  expect(await gone).toBe(alpha.network.id)
  await expect(beta.network.connect(alpha.network.addresses()[0] as string)).rejects.toMatchObject({
    code: expect.any(String),
  })
  expect(alpha.network.connections()).toEqual([])
})

test('a stranger with the network key is refused until authorized_peers names it, and again when the line goes', async () => {
  const home = await found()
  const stranger = await makeMember(home, 'stranger')
  const alpha = await startNode(
    { roster: home.founded.roster, seed: home.keyring.nodeSeed, folder: home.folder },
    home.keyring.networkKey,
  )
  const outside = await startNode(stranger, home.keyring.networkKey, 'network')
  const address = alpha.network.addresses()[0] as string
  await expect(outside.network.connect(address)).rejects.toMatchObject({ code: 'peer_refused' })
  const file = join(home.folder, 'authorized_peers')
  const admitted = once(alpha.network, 'connected')
  await appendFile(file, `${stranger.id} # a friend\n`)
  await expect.poll(() => outside.network.connect(address).catch(() => undefined)).toBe(alpha.network.id)
  await admitted
  const gone = once(alpha.network, 'disconnected')
  await writeFile(file, '# nobody\n')
  expect(await gone).toBe(stranger.id)
})

test('nodes are found by name, id, a part of the id and labels', async () => {
  const { alpha, beta } = await pair('viewer')
  await alpha.exchange.whenExchanged(beta.network.id)
  const { directory } = alpha
  expect(directory.nodes().map(({ name, state, role }) => ({ name, state, role }))).toEqual([
    { name: 'alpha', state: 'self', role: 'admin' },
    { name: 'beta', state: 'up', role: 'viewer' },
  ])
  expect(directory.resolve(beta.network.id.slice(-8)).name).toBe('beta')
  expect(directory.select(['site=office']).map(({ name }) => name)).toEqual(['beta'])
  expect(directory.select(['alpha', 'arch']).map(({ name }) => name)).toEqual(['alpha', 'beta'])
  expect(() => directory.resolve('12D3')).toThrow(expect.objectContaining({ code: 'node_ambiguous' }))
  expect(() => directory.select(['site=nowhere'])).toThrow(expect.objectContaining({ code: 'node_not_found' }))
})

/** What a stream brings until it closes, after these bytes were sent on it. */
async function answerTo(from: Node, to: Node, protocol: string, bytes: string | Uint8Array) {
  const stream = await from.network.open(to.network.id, protocol)
  let answer = ''
  stream.on('data', (data) => {
    answer += data
  })
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.once('end', () => stream.end())
  stream.write(bytes)
  await closed
  return answer
}

test('one stream carries one request: a second one on it is not answered by the API', async () => {
  const { alpha, beta } = await pair('viewer')
  const request = 'GET /v1/whoami HTTP/1.1\r\nHost: warren\r\n\r\n'
  const answer = await answerTo(beta, alpha, '/warren/api/1', request.repeat(3))
  expect(answer.match(/"role":"viewer"/g)).toHaveLength(1)
})

test('a stream whose headers do not come is closed', async () => {
  const { alpha, beta } = await pair('viewer')
  expect(await answerTo(beta, alpha, '/warren/api/1', 'GET /v1/whoami HTTP/1.1\r\n')).toBe('')
})

test('a peer that asks for the roster again and again in one exchange is cut off', async () => {
  const { alpha, beta } = await pair('member')
  const heads = Buffer.from('\0\0\0\u001b{"type":"heads","heads":[]}')
  const answer = await answerTo(beta, alpha, '/warren/roster/1', Buffer.concat([heads, heads, heads]))
  expect(answer.match(/"type":"statements"/g)?.length ?? 0).toBeLessThan(2)
})

test('a node that answers with another protocol ends the request, and does not leave the caller waiting', async () => {
  const { home, alpha } = await pair('viewer')
  const made = await makeMember(home, 'mallory', 'member')
  const network = createNetwork({
    privateKey: made.seed,
    listen: [],
    agent: 'other/1',
    gate: { allow: () => ({ allowed: true }) },
    proof: { networkId: () => home.founded.roster.networkId, keys: () => [home.keyring.networkKey] },
    staticPeers: [],
    mdns: false,
    clock: systemClock,
    log: silentLogger,
    counters: new Counters(),
  })
  cleanups.push(() => network.stop())
  network.handle('/warren/api/1', (stream) => {
    stream.resume().write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
  })
  await network.start()
  await network.connect(alpha.network.addresses()[0] as string)
  await expect((await clientVia(alpha, 'mallory')).call(whoami, {})).rejects.toMatchObject({
    code: 'node_unreachable',
  })
})

test('a node name that cannot be decoded is refused as such', async () => {
  const { alpha } = await pair('viewer')
  await expect((await clientVia(alpha, '%')).call(whoami, {})).rejects.toMatchObject({ code: 'request_invalid' })
})
