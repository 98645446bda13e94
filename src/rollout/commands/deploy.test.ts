import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiClient, type Caller, createClient, createRouter, implement } from '../../api/index.ts'
import { silentLogger } from '../../base/log.ts'
import { readPackageHeader } from '../../bundle/index.ts'
import { type AnyCommand, type CommandContext, createStyle, type StreamLine } from '../../command/index.ts'
import { createSigner, decodeEnvelope } from '../../identity/index.ts'
import { memberContract } from '../../member/contract.ts'
import { transferContract } from '../../transfer/contract.ts'
import type { RolloutEnd } from '../contract.ts'
import { Fleet } from '../fixtures/fleet.ts'
import { rolloutRoutes } from '../routes.ts'
import { deployCommand } from './deploy.ts'
import { haltCommand } from './halt.ts'
import { listCommand } from './list.ts'
import { developmentVersion } from './run.ts'
import { statusCommand } from './status.ts'
import { watchCommand } from './watch.ts'

let fleet: Fleet
let folder: string
let server: Server
let client: ApiClient
const said: string[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-deploy-'))
  fleet = await Fleet.create(3)
  await fleet.startAll()
  ;({ client, server } = await serve({ door: 'local', id: 'self', rights: { role: 'admin', grants: [] } }))
  said.length = 0
})
afterEach(async () => {
  client.close()
  server.closeAllConnections()
  server.close()
  await fleet.stop()
  await rm(folder, { recursive: true, force: true })
})

async function serve(caller: Caller): Promise<{ client: ApiClient; server: Server }> {
  const nodes = implement(memberContract.list, () =>
    fleet.machines.map(({ node: { id, name } }, index) => ({
      id,
      name,
      addresses: [],
      labels: {},
      role: 'admin' as const,
      state: index === 0 ? ('self' as const) : ('up' as const),
      version: null,
      relayed: null,
      path: null,
      why: null,
      latency_ms: null,
      seen: null,
      waiting: false,
      expires: null,
    })),
  )
  const router = createRouter({ routes: [...rolloutRoutes(fleet.engine(0)), uploadRoute(), nodes], log: silentLogger })
  const server = createServer((request, response) => void router.handle(request, response, caller))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { client: createClient({ open: async () => connect(port, '127.0.0.1') }), server }
}

/** Takes the body apart as the contract says, with the real reader of packages. */
function uploadRoute() {
  return implement(transferContract.upload, async ({ upload }) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of upload) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const length = body.readUInt32BE()
    const payloadType = 'application/vnd.warren.package.v1+json'
    const signers = length === 0 ? [] : decodeEnvelope(body.subarray(4, 4 + length), { payloadType }).signatures
    const { digest, record } = await readPackageHeader({ source: Readable.from([body.subarray(4 + length)]) })
    fleet.uploaded.set(digest, record.version)
    fleet.machine(0).packages.add(digest)
    const warnings = signers.length === 0 ? ['unsigned'] : []
    return {
      digest,
      name: record.name,
      version: record.version,
      size: record.bytes,
      added: true,
      signers: [],
      warnings,
    }
  })
}

async function writeApp(version: string): Promise<string> {
  const app = join(folder, 'hello')
  await mkdir(app, { recursive: true })
  await writeFile(join(app, 'manifest.yaml'), `name: hello\nversion: ${version}\nentrypoint: ./run\n`)
  await writeFile(join(app, 'run'), '#!/bin/sh\nsleep 1000\n', { mode: 0o755 })
  return app
}

function contextOf(changes: Partial<CommandContext> = {}): CommandContext {
  return {
    home: folder,
    nodeHome: async () => folder,
    config: undefined,
    cwd: folder,
    env: {},
    signal: new AbortController().signal,
    json: false,
    stdin: Readable.from([]),
    readSecret: async () => '',
    confirm: async () => false,
    temporary: false,
    program: [],
    connect: async () => client,
    connectLocal: async () => client,
    connectTo: async () => client,
    remote: false,
    say: (line) => void said.push(line),
    progress: { show: () => undefined, clear: () => undefined },
    style: createStyle(false),
    ...changes,
  }
}

const DEFAULTS = { on: [], all: true, plan: false, 'no-rollback': false, revert: false }

function runCommand(command: AnyCommand, args: object, options: object = {}, context = contextOf()) {
  const input = { args, options: { ...DEFAULTS, ...options }, context }
  return command.run(input as unknown as Parameters<AnyCommand['run']>[0])
}

async function linesOf(
  command: AnyCommand,
  args: object,
  options: object = {},
  context = contextOf(),
): Promise<StreamLine[]> {
  const lines: StreamLine[] = []
  for await (const line of runCommand(command, args, options, context) as AsyncIterable<StreamLine>) lines.push(line)
  return lines
}

test('a folder is packed, signed, uploaded and deployed, and nothing temporary is left', async () => {
  await createSigner(join(folder, 'keys', 'signing.key'))
  const before = (await readdir(tmpdir())).filter((name) => name.startsWith('warren-pack-'))
  const lines = await linesOf(deployCommand, { package: await writeApp('1.0.0') }, { batch: '1,2' })
  const last = lines.at(-1) as StreamLine
  expect(last.exitCode).toBe(0)
  expect(last.human).toMatch(/deploy {3}hello 1\.0\.0 → 3 nodes.*2 waves.*● burrow-1 healthy {2}● burrow-2 healthy/)
  expect(last.json).toMatchObject({ done: true, ok: true })
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
  expect(said.join('\n')).toMatch(/pack {5}hello 1\.0\.0 {2}2 files .*signed by/)
  expect((await readdir(tmpdir())).filter((name) => name.startsWith('warren-pack-'))).toEqual(before)
})

test('a failed deploy names node, wave, reason and what runs now, and exits with 1', async () => {
  await linesOf(deployCommand, { package: await writeApp('1.0.0') })
  fleet.machine(0).behaviour = () => ({ ok: false, version: null, reason: 'exit code 1 after 0.2 s, last line "boom"' })
  const lines = await linesOf(deployCommand, { package: await writeApp('2.0.0') }, { batch: '1' })
  const last = lines.at(-1) as StreamLine
  expect(last.exitCode).toBe(1)
  expect(last.human).toContain('✗ burrow-1 (wave 1): exit code 1 after 0.2 s, last line "boom"')
  expect(last.human).toContain('back to 1.0.0 on burrow-1')
  expect(last.human).toContain('never started on burrow-2, burrow-3')
})

test('the plan uploads nothing and says what would change', async () => {
  const result = await (runCommand(deployCommand, { package: await writeApp('1.0.0') }, { plan: true }) as Promise<{
    json: unknown
  }>)
  expect(result.json).toMatchObject({ app: 'hello', nodes: [{ change: 'install' }, {}, {}] })
  expect(fleet.uploaded.size).toBe(0)
  expect(fleet.engine(0).list()).toEqual([])
})

test('an unsigned package is uploaded with the warning of the node', async () => {
  await linesOf(deployCommand, { package: await writeApp('1.0.0') })
  expect(said).toContain('warning  unsigned')
})

test('without a target, and with a wrong batch, the command is refused', async () => {
  expect(() => runCommand(deployCommand, { package: 'x' }, { all: false })).toThrow(/no target/)
  expect(() => runCommand(deployCommand, { package: 'x' }, { batch: '1,x' })).toThrow(/--batch/)
  await expect(linesOf(deployCommand, { package: 'missing.tar.gz' })).rejects.toMatchObject({ code: 'file_not_found' })
})

test('a rollout is listed, shown, watched and halted with revert', async () => {
  await linesOf(deployCommand, { package: await writeApp('1.0.0') })
  const lines = await linesOf(deployCommand, { package: await writeApp('2.0.0') })
  const { short } = (lines.at(-1) as StreamLine).json as RolloutEnd
  const list = (await runCommand(listCommand, {})) as { json: { short: string; state: string }[] }
  expect(list.json.map(({ state }) => state)).toEqual(['done', 'done'])
  const status = (await runCommand(statusCommand, { rollout: short })) as { human: string }
  expect(status.human).toMatch(/hello 2\.0\.0 {2}done/)
  const watched = await linesOf(watchCommand, { rollout: short })
  expect(watched.at(-1)).toMatchObject({ exitCode: 0, json: { done: true, ok: true } })
  const halted = (await runCommand(haltCommand, { rollout: short }, { revert: true })) as { json: { state: string } }
  expect(halted.json.state).toBe('halted')
  await linesOf(watchCommand, { rollout: short })
  expect(fleet.versions()).toEqual(['1.0.0', '1.0.0', '1.0.0'])
})

test('a development version stands below its release and above the run before', () => {
  expect(developmentVersion('1.4.0+build', new Date('2026-03-01T12:00:00Z'))).toBe('1.4.0-dev.20260301120000')
})

test('the node of a job leaves the package with one that stays, under a right narrowed to its app', async () => {
  const narrowed = (app: string): Caller => ({
    door: 'peer',
    id: 'token',
    rights: { role: 'member', grants: [{ role: 'operator', apps: [app], services: null, expires: null }] },
  })
  const asked: string[] = []
  const job = async (app: string) => {
    const remote = await serve(narrowed(app))
    const context = contextOf({
      temporary: true,
      connectTo: async (node) => {
        asked.push(node)
        return remote.client
      },
    })
    try {
      return await linesOf(deployCommand, { package: await writeApp('1.0.0') }, {}, context)
    } finally {
      remote.client.close()
      remote.server.closeAllConnections()
      remote.server.close()
    }
  }
  const [, second, third] = fleet.machines.map(({ node }) => node.id)
  await expect(job('other')).rejects.toMatchObject({ code: 'role_required' })
  expect(asked).toEqual([second, third])
  expect(fleet.engine(0).list()).toEqual([])
  const last = (await job('hello')).at(-1) as StreamLine
  expect(last).toMatchObject({ exitCode: 0 })
  expect(asked.slice(2)).toEqual([second])
  // Named in the document, so that a node which cannot reach the job fetches it from there.
  expect(fleet.machine(2).fetches[0]).toContain(second)
})

test('a folder is signed with the key that is named', async () => {
  await createSigner(join(folder, 'keys', 'signing.key'))
  const other = await createSigner(join(folder, 'ci.key'))
  await linesOf(deployCommand, { package: await writeApp('1.0.0') }, { key: 'ci.key' })
  expect(said.join('\n')).toContain(`signed by ${other.keyId.slice(0, 4)}…`)
  await expect(linesOf(deployCommand, { package: await writeApp('2.0.0') }, { key: 'no.key' })).rejects.toMatchObject({
    code: 'key_not_found',
  })
})
