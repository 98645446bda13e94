/** Machines behind NATs join, and work with a deploy token, where no admin can be dialled: over a relay that is none. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Internet, makeInternet } from './internet.ts'
import { whyNoNamespaces } from './lan.ts'
import { enter, type Machine, type Ran, warrenOn } from './warren-on.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: joining over a relay (${reason})\n`)
const WITHIN = { interval: 300 }

let folder: string
let internet: Internet
let office: Machine
let laptop: Machine
let vps: Machine

beforeAll(async () => {
  if (reason !== undefined) return
  folder = await mkdtemp(join(tmpdir(), 'warren-over-relay-'))
  internet = makeInternet({
    routers: { home: { nat: 'EIM/APDF' }, cellar: { nat: 'APDM/APDF' }, cloud: { nat: 'APDM/APDF' } },
    hosts: {
      office: {},
      vps: {},
      laptop: { behind: 'home' },
      pi: { behind: 'cellar' },
      ci: { behind: 'cloud' },
      den: { behind: 'cloud' },
      server: {},
    },
  })
  const on = (host: string) => warrenOn({ internet, host, folder })
  office = await on('office')
  await enter(office)
  vps = await on('vps')
  laptop = await on('laptop')
  await bringIn(vps, office, 'relay')
  await bringIn(laptop, office, 'admin')
})
afterAll(async () => {
  if (reason !== undefined) return
  internet.remove()
  await rm(folder, { recursive: true, force: true })
})

async function bringIn(machine: Machine, by: Machine, role: string): Promise<void> {
  const code = await by.must(['invite', '--non-interactive', '--name', machine.host, '--role', role])
  await machine.must(['join', code.trim(), '--json'])
}

async function relaysOf(machine: Machine): Promise<unknown[]> {
  const { reservations } = await machine.json<{ reservations?: unknown[] }>(['relay', 'status'])
  return reservations ?? []
}

async function seesUp(machine: Machine, name: string): Promise<boolean> {
  const nodes = await machine.json<{ name: string; state: string }[]>(['nodes'])
  return nodes.some((node) => node.name === name && node.state === 'up')
}

test.skipIf(reason !== undefined)(
  'a machine behind a NAT joins by a code of an admin behind another, within seconds, and both see each other',
  async () => {
    await expect.poll(async () => JSON.stringify(await relaysOf(laptop)), WITHIN).toContain('vps')
    // From here on the only admin is one that nobody can dial.
    await office.stopDaemon()
    const code = await laptop.must(['invite', '--non-interactive', '--name', 'pi'])
    const pi = await warrenOn({ internet, host: 'pi', folder })
    const begun = performance.now()
    const joined = await pi.json<{ name: string; role: string }>(['join', code.trim()])
    process.stderr.write(`joined over the relay in ${Math.round(performance.now() - begun)} ms\n`)
    expect(joined).toMatchObject({ name: 'pi', role: 'member' })
    await expect.poll(() => seesUp(pi, 'laptop'), WITHIN).toBe(true)
    await expect.poll(() => seesUp(laptop, 'pi'), WITHIN).toBe(true)
    expect(await readFile(join(laptop.home, 'audit.log'), 'utf8')).toMatch(/p2p-circuit/)
    const again = await warrenOn({ internet, host: 'ci', folder: join(folder, 'again') })
    const late = await again.run(['join', code.trim(), '--json'])
    expect(JSON.parse(late.out)).toMatchObject({ error: { code: 'invite_used' } })
  },
)

test.skipIf(reason !== undefined)('a job with a deploy token reaches an admin that nobody can dial', async () => {
  const made = await laptop.json<{ token: string }>(['token', 'create', 'ci'])
  const ci = await warrenOn({ internet, host: 'ci', folder, env: { WARREN_TOKEN: made.token } })
  const begun = performance.now()
  const ran: Ran = await ci.run(['--node', 'laptop', 'rollout', 'list', '--json'])
  process.stderr.write(`a job over the relay took ${Math.round(performance.now() - begun)} ms\n`)
  expect([ran.code, ran.out.trim()]).toEqual([0, '[]'])
})

/** What `ssh -R 9019:127.0.0.1:9010` does: a port of the server leads to the node of a machine that dials the server. */
const TUNNEL_PORT = 9020
const FAR_END = `
const { createServer } = require('node:net')
const waiting = []
const arrived = []
const pair = () => { while (waiting.length && arrived.length) { const [a, b] = [waiting.shift(), arrived.shift()]; a.pipe(b).pipe(a) } }
const quiet = (socket) => socket.on('error', () => socket.destroy())
createServer((socket) => { waiting.push(quiet(socket)); pair() }).listen(9019, '127.0.0.1')
createServer((socket) => { arrived.push(quiet(socket)); pair() }).listen(${TUNNEL_PORT}, '0.0.0.0', () => console.log('ready'))
`
const NEAR_END = `
const { connect } = require('node:net')
const open = () => {
  const far = connect(${TUNNEL_PORT}, process.argv[1])
  far.on('error', () => far.destroy())
  far.once('data', (first) => {
    const near = connect(9010, '127.0.0.1')
    near.on('error', () => far.destroy())
    near.write(first)
    near.pipe(far).pipe(near)
    open()
  })
}
for (let each = 0; each < 4; each++) open()
`

function runOn(host: string, script: string, ...words: string[]): ChildProcess {
  const args = ['netns', 'exec', internet.namespaceOf(host), process.execPath, '-e', script, ...words]
  return spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

test.skipIf(reason !== undefined)(
  'a server is let in by an admin that it cannot dial through a tunnel, is told so without one, and stays when it is gone',
  async () => {
    const den = await warrenOn({ internet, host: 'den', folder })
    await enter(den)
    const code = (await den.must(['invite', '--non-interactive', '--name', 'server', '--role', 'relay'])).trim()
    const server = await warrenOn({ internet, host: 'server', folder })
    const refused = await server.run(['join', code])
    expect([refused.code, refused.err]).toEqual([6, expect.stringContaining('join CODE --at ADDRESS')])
    const far = runOn('server', FAR_END)
    const tunnel = [far]
    try {
      await once(far.stdout as NodeJS.ReadableStream, 'data')
      tunnel.push(runOn('den', NEAR_END, internet.addressOf('server')))
      await server.must(['join', code, '--at', '/ip4/127.0.0.1/tcp/9019', '--json'])
      await den.must(['connect', `/ip4/${internet.addressOf('server')}/tcp/9010`])
    } finally {
      for (const end of tunnel) end.kill('SIGKILL')
    }
    await expect.poll(() => seesUp(den, 'server'), WITHIN).toBe(true)
    await expect.poll(() => seesUp(server, 'den'), WITHIN).toBe(true)
    await expect.poll(async () => JSON.stringify(await relaysOf(den)), WITHIN).toContain('server')
  },
)
