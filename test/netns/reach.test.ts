import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Internet, makeInternet } from './internet.ts'
import { whyNoNamespaces } from './lan.ts'

const PROGRAM = fileURLToPath(new URL('./reach-process.ts', import.meta.url))
const HELPERS = ['sun', 'moon', 'star'] as const

const reason = whyNoNamespaces()
if (reason !== undefined) process.stderr.write(`skipped: reachability between networks (${reason})\n`)

let internet: Internet
const children: ChildProcess[] = []

beforeAll(async () => {
  if (reason !== undefined) return
  internet = makeInternet({
    routers: { home: { nat: 'EIM/APDF' }, full: { nat: 'EIM/EIF' }, open: { nat: 'none' } },
    hosts: {
      ...Object.fromEntries(HELPERS.map((name) => [name, {}])),
      public: { behind: 'open' },
      hidden: { behind: 'home' },
      twin: { behind: 'home' },
      neighbour: { behind: 'home' },
      cone: { behind: 'full' },
    },
  })
  await Promise.all([...HELPERS, 'twin'].map((name) => start(name, [])))
})

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  if (reason === undefined) internet.remove()
})

async function start(name: string, peers: readonly string[]): Promise<{ check(): Promise<Record<string, unknown>> }> {
  const list = peers.map((peer) => `${peer}=${internet.addressOf(peer)}`).join(',')
  const words = ['netns', 'exec', internet.namespaceOf(name), process.execPath, '--disable-warning=ExperimentalWarning']
  const child = spawn('ip', [...words, PROGRAM, name, list], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe('"ready"')
  return {
    check: async () => {
      child.stdin?.write('check\n')
      return JSON.parse((await lines.next()).value as string)
    },
  }
}

const run = test.skipIf(reason !== undefined)

run('a host with a public address is found public, at the address that others see', async () => {
  const node = await start('public', HELPERS)
  expect(await node.check()).toEqual({
    reach: 'public',
    reason: '3 of 3 peers that tried from outside got through',
    confirmed: [`${internet.addressOf('public')}:9010`],
  })
})

run('a host behind a NAT is found private, also where the NAT lets everybody in at ports that were used', async () => {
  for (const name of ['hidden', 'cone']) {
    const node = await start(name, HELPERS)
    expect(await node.check()).toMatchObject({
      reach: 'private',
      reason: expect.stringMatching(
        /^0 of 3 peers that tried from outside got through \(port 9010: (no answer|refused)\)$/,
      ),
      confirmed: [],
    })
  }
  // Whoever helped has connected to nobody but the asker.
  for (const from of HELPERS) {
    for (const to of HELPERS) if (from !== to) expect(internet.bytesLetIn({ from, to })).toBe(0)
  }
})

run('a peer on the same network tells nothing', async () => {
  const node = await start('neighbour', ['twin'])
  expect(await node.check()).toMatchObject({ reach: 'unknown' })
})
