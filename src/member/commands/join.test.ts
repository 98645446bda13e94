import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createRouter } from '../../api/index.ts'
import { systemClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { type CommandContext, type CommandResult, createStyle } from '../../command/index.ts'
import { sections } from '../../daemon/sections.ts'
import { createAuthority } from '../../identity/index.ts'
import { startLocalServer } from '../../ops/index.ts'
import { codeNodes } from '../code-nodes.ts'
import { createDirectory } from '../directory.ts'
import { createFleet } from '../fixtures/fleet.ts'
import { createInvites } from '../invites.ts'
import { memberRoutes } from '../routes.ts'
import { createJoinCommand, type JoinInit } from './join.ts'

const fleet = createFleet()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await fleet.end()
})

const hour = { role: 'member' as const, labels: {}, ttl_ms: 3_600_000, uses: 1 }

/** A running admin, and the invites that it makes. */
async function admin() {
  const home = await fleet.found()
  const { network, roster } = await fleet.start(home)
  const directory = createDirectory({ roster, network, clock: systemClock, version: '0.1.0' })
  cleanups.push(() => directory.stop())
  const authority = { author: () => home.author }
  const nodes = () => codeNodes({ roster, network, directory })
  return { network, roster, invites: createInvites({ roster, authority, nodes }) }
}

/** Starts what a daemon would be: the node of the home, connected to its peers, and its local door. */
async function startNode({ home: folder }: CommandContext): Promise<number> {
  const { network, standing, keys: networkKeys, roster, id } = await fleet.start(await fleet.open(folder))
  const directory = createDirectory({ roster, network, clock: systemClock, version: '0.1.0' })
  const authority = await createAuthority({ keysFolder: join(folder, 'keys'), roster, nodeId: id })
  const init = { roster, network, directory, authority, networkKeys, standing, clock: systemClock, maxStaleMs: 1000 }
  const router = createRouter({ routes: memberRoutes(init), log: silentLogger })
  const caller = { door: 'local', id, rights: { role: 'admin', grants: [] } } as const
  const handle = (...[request, response]: Parameters<Parameters<typeof startLocalServer>[0]['handle']>) =>
    void router.handle(request, response, caller)
  const door = await startLocalServer({ home: folder, env: {}, handle })
  cleanups.push(
    () => door.stop(),
    () => directory.stop(),
  )
  const [peer] = /\/ip4\/\S+\/p2p\/\w+/.exec(await readFile(join(folder, 'config.yaml'), 'utf8')) ?? []
  await network.connect(String(peer))
  return 4711
}

async function run(home: string, { code, init = {}, env = {}, ...options }: RunOptions): Promise<CommandResult> {
  const shown: string[] = []
  const context = {
    home,
    env,
    signal: new AbortController().signal,
    style: createStyle(false),
    progress: { show: (lines: readonly string[]) => shown.push(...lines), clear: () => undefined },
  } as unknown as CommandContext
  const command = createJoinCommand({ sections: async () => sections, startDaemon: startNode, ...init })
  const result = await command.run({
    args: (code === undefined ? {} : { code }) as Record<string, string>,
    options: { name: undefined, noStart: false, ...options },
    context,
  })
  expect(shown.join(' ')).not.toContain(code ?? env.WARREN_INVITE)
  return result as CommandResult
}
interface RunOptions {
  readonly code?: string
  readonly name?: string
  readonly noStart?: boolean
  readonly env?: Record<string, string>
  readonly init?: Partial<JoinInit>
}

test('a machine joins by one command: keys, config and daemon are there, and it says whom it has met', async () => {
  const alpha = await admin()
  const { code } = await alpha.invites.create({ ...hour, name: 'pi' })
  const home = await fleet.makeFolder()
  const { json, human } = await run(home, { code })
  expect(human).toBe('joined as pi (member): 2 nodes, direct to 1')
  expect(json).toMatchObject({ name: 'pi', role: 'member', pid: 4711, nodes: 2, direct: 1, relayed: 0 })
  expect(await readFile(join(home, 'config.yaml'), 'utf8')).toContain(`    - "${alpha.network.addresses()[0]}"`)
  for (const file of ['node.key', 'network.key'])
    expect((await stat(join(home, 'keys', file))).mode & 0o777).toBe(0o600)
  expect([...alpha.roster.state.nodes.values()].map(({ name }) => name).sort()).toEqual(['alpha', 'pi'])
})

test('the code of a variable is used, and the daemon does not inherit it', async () => {
  const alpha = await admin()
  const { code } = await alpha.invites.create(hour)
  const seen: (string | undefined)[] = []
  const startDaemon = async (context: CommandContext) => {
    seen.push(context.env.WARREN_INVITE, context.env.OTHER)
    return await startNode(context)
  }
  const env = { WARREN_INVITE: code, OTHER: 'kept' }
  const { human } = await run(await fleet.makeFolder(), { env, name: 'kitchen', init: { startDaemon } })
  expect(human).toMatch(/^joined as kitchen \(member\)/)
  expect(seen).toEqual([undefined, 'kept'])
})

test('a join that is refused leaves nothing behind, and one without a start only the home', async () => {
  const alpha = await admin()
  const { code, id } = await alpha.invites.create({ ...hour, uses: 2 })
  const startDaemon = () => Promise.reject(new Error('nothing is to be started'))
  const joined = await run(await fleet.makeFolder(), { code, noStart: true, name: 'pi', init: { startDaemon } })
  expect(joined).toMatchObject({ json: { pid: null }, human: expect.stringContaining('warren daemon start') })
  await alpha.invites.close(id)
  const home = await fleet.makeFolder()
  await expect(run(home, { code })).rejects.toMatchObject({ code: 'invite_closed' })
  const left = await readdir(home, { recursive: true, withFileTypes: true })
  expect(left.filter((entry) => entry.isFile())).toEqual([])
})
