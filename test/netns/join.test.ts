/** A machine joins by a code that comes through a pipe, from a host that it shares nothing with but a network. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { programPath } from '../program.ts'
import { makeLan, whyNoNamespaces } from './lan.ts'

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: joining between namespaces (${reason})\n`)
const SEEN_WITHIN_MS = 60_000
const CODE = /^WRN-\S+$/

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}
type Child = ChildProcessByStdio<Writable, Readable, Readable>

let folder: string
let main: string
let undo: (() => void) | undefined
let hosts: readonly string[]
/** Homes with a daemon, and the host of each. */
const daemons = new Map<string, string>()

beforeEach(async () => {
  main = await programPath()
  folder = await mkdtemp(join(tmpdir(), 'warren-join-'))
  if (reason !== undefined) return
  hosts = [0, 1, 2].map((index) => `wj${process.pid}h${index}`)
  // Without a way for multicast nobody is found by mDNS: what is known comes by the code alone.
  undo = makeLan(hosts, { multicast: () => false })
})
afterEach(async () => {
  for (const [home, host] of daemons) await run(host, home, ['daemon', 'stop'])
  daemons.clear()
  undo?.()
  await rm(folder, { recursive: true, force: true })
})

/** The program on a host, without a terminal. */
function start(host: string, home: string, words: readonly string[]): Child {
  const all = ['netns', 'exec', host, process.execPath, '--disable-warning=ExperimentalWarning', main, ...words]
  return spawn('ip', all, {
    env: { PATH: process.env.PATH, HOME: join(folder, host), WARREN_HOME: home, LANG: 'C.UTF-8' },
    cwd: folder,
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own has no terminal that a program could open.
    detached: true,
  })
}

async function run(host: string, home: string, words: readonly string[]): Promise<Ran> {
  const child = start(host, home, words)
  child.stdin.end()
  return endOf(child)
}

async function endOf(child: Child): Promise<Ran> {
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)))
  return { code, out, err }
}

async function must(host: string, home: string, words: readonly string[]): Promise<string> {
  const { code, out, err } = await run(host, home, words)
  if (code !== 0) throw new Error(`warren ${words.join(' ')} on ${host} ended with ${code}\n${out}\n${err}`)
  return out
}

const homeOn = (host: string): string => join(folder, host, 'home')

/** A network with its first node on this host. */
async function found(host: string, name: string): Promise<string> {
  const home = homeOn(host)
  await mkdir(join(folder, host))
  await must(host, home, ['init', '--name', name])
  daemons.set(home, host)
  await must(host, home, ['daemon', 'start'])
  return home
}

/** `warren join -` on a host with what comes out of another command as its input. */
async function joinFrom(host: string, code: Readable | string): Promise<Ran & { home: string }> {
  await mkdir(join(folder, host))
  const home = homeOn(host)
  const child = start(host, home, ['join', '-', '--json'])
  daemons.set(home, host)
  if (typeof code === 'string') child.stdin.end(code)
  else code.pipe(child.stdin)
  return { ...(await endOf(child)), home }
}

interface Row {
  readonly name: string
  readonly state: string
}

/** The names of the nodes that a node sees up, itself among them. */
async function upOn(host: string): Promise<string[]> {
  const rows = JSON.parse(await must(host, homeOn(host), ['nodes', '--json'])) as Row[]
  return rows
    .filter(({ state }) => state !== 'down')
    .map(({ name }) => name)
    .sort()
}

test.skipIf(reason !== undefined)(
  'a code that is piped from one host to another lets it in, and both see each other',
  async () => {
    const [first, second] = hosts as [string, string]
    const home = await found(first, 'burrow')
    const inviter = start(first, home, ['invite', '--non-interactive', '--name', 'pi', '--label', 'site=home'])
    inviter.stdin.end()
    const [invited, joined] = await Promise.all([endOf(inviter), joinFrom(second, inviter.stdout)])
    expect(invited.code).toBe(0)
    // Alone on its line, so that it can be piped.
    expect(invited.out.trim()).toMatch(CODE)
    expect(joined).toMatchObject({ code: 0 })
    expect(JSON.parse(joined.out)).toMatchObject({ name: 'pi', role: 'member' })
    for (const host of [first, second]) {
      await expect.poll(() => upOn(host), { timeout: SEEN_WITHIN_MS, interval: 200 }).toEqual(['burrow', 'pi'])
    }
    const used = await joinFrom(hosts[2] as string, invited.out)
    expect(used.code).not.toBe(0)
    expect(JSON.parse(used.out)).toMatchObject({ error: { code: 'invite_used' } })
  },
)

test.skipIf(reason !== undefined)(
  'a machine joins while the admin that invited it is off, by another one',
  async () => {
    const [first, second, third] = hosts as [string, string, string]
    const home = await found(first, 'burrow')
    const asAdmin = await must(first, home, ['invite', '--non-interactive', '--name', 'office', '--role', 'admin'])
    expect(await joinFrom(second, asAdmin)).toMatchObject({ code: 0 })
    await expect.poll(() => upOn(first), { timeout: SEEN_WITHIN_MS, interval: 200 }).toEqual(['burrow', 'office'])
    const code = await must(first, home, ['invite', '--non-interactive', '--name', 'pi'])
    const invites = async () => JSON.parse(await must(second, homeOn(second), ['invites', '--json'])) as unknown[]
    await expect.poll(async () => (await invites()).length, { timeout: SEEN_WITHIN_MS, interval: 200 }).toBe(2)
    await must(first, home, ['daemon', 'stop'])
    const joined = await joinFrom(third, code)
    expect(joined).toMatchObject({ code: 0 })
    expect(JSON.parse(joined.out)).toMatchObject({ name: 'pi' })
    for (const host of [second, third]) {
      await expect.poll(() => upOn(host), { timeout: SEEN_WITHIN_MS, interval: 200 }).toEqual(['office', 'pi'])
    }
  },
)
