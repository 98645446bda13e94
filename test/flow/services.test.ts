/** Ports through the network as people use them: real daemons, real clients. */
import { type ChildProcess, spawn } from 'node:child_process'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePorts } from '../free-ports.ts'
import { programPath } from '../program.ts'
import { install, prepareSshd, REDIS, runProgram, SSH, sshOptions } from '../real-programs.ts'
import { createHomes, type Home, type Homes, until, untilSees } from './homes.ts'

let homes: Homes
let office: Home
let laptop: Home
const children: ChildProcess[] = []
const servers: Server[] = []

beforeAll(async () => {
  homes = await createHomes()
  office = await homes.add('office')
  await homes.found(office)
  laptop = await homes.join(office, 'laptop')
  await untilSees(laptop, ['laptop', 'office'])
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const server of servers) server.close()
  await homes.cleanup()
})

interface ProxyRow {
  readonly id: string
  readonly local: readonly string[]
  readonly kept: boolean
  readonly problem: string | null
}

/** Opens a kept proxy of the laptop, and gives its port. */
async function keep(service: string): Promise<{ id: string; port: number }> {
  const { id, local } = await laptop.ask<ProxyRow>('proxy', 'office', service, '0', '--background', '--json')
  return { id, port: Number(local[0]?.split(':').at(-1)) }
}

/** A server that answers in capitals what it was sent, once it has everything. */
async function startShouting(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    text(socket).then(
      (all) => socket.end(all.toUpperCase()),
      () => undefined,
    )
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

async function shout(port: number, words: string, host = '127.0.0.1'): Promise<string> {
  const socket = connect({ port, host, allowHalfOpen: true })
  socket.end(words)
  return await text(socket)
}

const outcome = (promise: Promise<string>): Promise<string> => promise.catch(({ code }) => String(code))

test('exposed, granted, reached, taken back: a member gets what it was granted, as long as it is', async () => {
  const target = await startShouting()
  await office.must('expose', 'shout', String(target))
  expect(await laptop.refusal('proxy', 'office', 'shout', '0', '--background')).toBe('service_refused')
  await office.must('grant', 'laptop', 'operator', '--service', 'shout')
  await until(async () => {
    const { services } = await laptop.ask<{ services: object[] }>('services', '--json')
    expect(services).toMatchObject([{ node: 'office', name: 'shout', target: `127.0.0.1:${target}`, allowed: true }])
  })
  const { port } = await keep('shout')
  expect(await shout(port, 'half close')).toBe('HALF CLOSE')

  const held: Socket = connect({ port, host: '127.0.0.1' })
  held.on('error', () => undefined)
  held.write('held')
  await until(async () =>
    expect(await laptop.ask<object[]>('proxy', 'list', '--json')).toMatchObject([{ connections: 1 }]),
  )
  const cut = new Promise((resolve) => held.once('close', resolve))
  await office.must('revoke', 'laptop', '--service', 'shout')
  await cut
  expect(await outcome(shout(port, 'again'))).toBe('ECONNRESET')
  const audit = (await office.must('audit', '--json')).lines<{ what: string; outcome: string; reason?: string }>()
  const reasons = audit
    .filter(({ what, outcome }) => what === 'service' && outcome === 'refused')
    .map(({ reason }) => reason?.split(':')[0])
  expect(new Set(reasons)).toEqual(new Set(['service_refused', 'service_removed']))
  await laptop.must('proxy', 'close', 'all')
  await office.must('unexpose', 'shout')
})

test('standard input and output: bytes alone on stdout, both halves, exit codes', async () => {
  await office.must('expose', 'shout', String(await startShouting()), '--to', 'member')
  const piped = await laptop.runWith({ input: 'over a pipe\n' }, 'proxy', 'office', 'shout', '-')
  expect(piped).toMatchObject({ code: 0, out: 'OVER A PIPE\n', err: '' })
  const missing = await laptop.runWith({ input: '' }, 'proxy', 'office', 'nosuch', '-')
  expect(missing).toMatchObject({ code: 3, out: '', err: expect.stringContaining('service_not_found') })
  const [closed] = await freePorts(1)
  await office.must('expose', 'closed', String(closed), '--to', 'member')
  const dead = await laptop.runWith({ input: '' }, 'proxy', 'office', 'closed', '-')
  expect(dead).toMatchObject({ code: 6, out: '', err: expect.stringContaining('service_unreachable') })
})

test('in the foreground a proxy says how it goes, and is gone with its command', async () => {
  await office.must('expose', 'shout', String(await startShouting()), '--to', 'member')
  const child = laptop.spawn('proxy', 'office', 'shout', '0')
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(/^localhost:(\d+) → office:shout, direct/.exec(String(line))?.[1])
  expect(await shout(port, 'foreground')).toBe('FOREGROUND')
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  await until(async () => expect(await outcome(shout(port, 'gone'))).toBe('ECONNREFUSED'))
})

test('exposures and kept proxies are there after restarts of both daemons, one of them killed', async () => {
  await office.must('expose', 'shout', String(await startShouting()), '--to', 'member')
  const { id, port } = await keep('shout')
  await office.kill()
  await office.must('daemon', 'start')
  await laptop.must('daemon', 'restart')
  await until(async () => expect(await outcome(shout(port, 'back'))).toBe('BACK'))
  expect(await laptop.ask<ProxyRow[]>('proxy', 'list', '--json')).toMatchObject([{ id, kept: true }])
  await laptop.must('proxy', 'close', id)
  expect(await outcome(shout(port, 'closed'))).toBe('ECONNREFUSED')
})

test('names below .warren are answered, and what they stand for is there', async () => {
  await office.must('expose', 'shout', String(await startShouting()), '--to', 'member')
  const [port] = (await freePorts(1)) as [number]
  await laptop.must('config', 'set', 'service.dns', `127.0.0.1:${port}`)
  await laptop.must('config', 'set', 'service.names', '{"loud": "office/shout"}')
  await laptop.must('daemon', 'restart')
  const resolver = new Resolver({ timeout: 5000, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  const target = (await laptop.ask<{ services: { name: string; port: number }[] }>('services', 'office', '--json'))
    .services
  const own = target.find(({ name }) => name === 'shout')?.port as number
  for (const name of ['shout.office.warren', 'office.warren', 'loud.warren']) {
    const [address] = await resolver.resolve4(name)
    expect(await shout(own, 'by name', address)).toBe('BY NAME')
  }
  const { port: named } = await keep('shout')
  expect(await shout(named, 'kept')).toBe('KEPT')
  await expect(resolver.resolve4('nosuch.office.warren')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await laptop.must('proxy', 'close', 'all')
})

const redis = install(REDIS)
test.skipIf(redis !== '')(`redis-cli talks to a redis of another node${redis}`, async () => {
  const [port] = (await freePorts(1)) as [number]
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', homes.folder]
  children.push(spawn('redis-server', words, { stdio: 'ignore' }))
  await office.must('expose', 'redis', String(port), '--to', 'laptop')
  const proxy = await keep('redis')
  const ask = (...command: string[]) => runHere('redis-cli', ['-p', String(proxy.port), ...command])
  await until(async () => expect(await ask('ping')).toMatchObject({ out: 'PONG\n' }))
  expect(await ask('set', 'burrow', 'x'.repeat(1000))).toMatchObject({ out: 'OK\n' })
  expect(await ask('strlen', 'burrow')).toMatchObject({ out: '1000\n' })
  await laptop.must('proxy', 'close', proxy.id)
})

const ssh = install(SSH)
test.skipIf(ssh !== '')(`ssh goes through warren as its ProxyCommand${ssh}`, async () => {
  const port = await startSshd(homes.folder)
  await office.must('expose', 'ssh', String(port), '--to', 'laptop')
  const [node, main] = [process.execPath, await programPath()]
  const command = `${node} --disable-warning=ExperimentalWarning ${main} proxy office ssh -`
  const target = [...sshOptions(homes.folder, command), `${userInfo().username}@office`]
  const sorted = await runHere('ssh', [...target, 'sort; echo done >&2; exit 7'], { env: laptop.env, input: 'b\na\n' })
  expect(sorted).toMatchObject({ code: 7, out: 'a\nb\n', err: 'done\n' })
})

async function startSshd(folder: string): Promise<number> {
  const [port] = (await freePorts(1)) as [number]
  const [sshd = '', ...words] = await prepareSshd(folder, port)
  children.push(spawn(sshd, words, { stdio: 'ignore' }))
  await until(async () => {
    const socket = connect({ port, host: '127.0.0.1' })
    await once(socket, 'connect')
    socket.destroy()
  })
  return port
}

function runHere(program: string, words: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}) {
  return runProgram(program, words, { ...options, onStart: (child) => void children.push(child) })
}
