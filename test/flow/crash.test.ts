/** Daemons that are killed in the middle of a deploy: on every node the old or the new version runs afterwards. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FAULT_POINTS } from '../../src/app/index.ts'
import { FAULT_POINTS as TURN_POINTS } from '../../src/rollout/turn.ts'
import { appProcesses } from './app-processes.ts'
import { createWarren, type LabNode, type Warren } from './warren.ts'

const DAEMON = fileURLToPath(new URL('daemon-process.ts', import.meta.url))
const GOOD = 'exec sleep 1000'
const BROKEN = 'echo boom; exit 1'

interface Row {
  node: string
  app: string
  version: string
  status: string
  health: string
  pid: number
}
interface RolloutRow {
  short: string
  state: string
  app: string
  package: { version: string }
}

let warren: Warren
let nodes: LabNode[]
const children = new Set<ChildProcess>()

beforeAll(async () => {
  warren = await createWarren()
  nodes = (await warren.must('lab', 'up', '--nodes', '3', '--json')).json<{ nodes: LabNode[] }>().nodes
}, 120_000)
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await warren?.cleanup()
}, 60_000)

const home = (index: number) => nodes[index]?.home as string
const on = (index: number, ...words: string[]) => warren.must('--home', home(index), ...words)

/** A package, signed by the network's own key, as the first node has it. */
async function pack(app: string, version: string, script: string): Promise<string> {
  const folder = join(warren.folder, `${app}-${version}`)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'manifest.yaml'), `name: ${app}\nversion: ${version}\nentrypoint: run\n`)
  await writeFile(join(folder, 'run'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return (await on(0, 'pack', folder, '--output', warren.folder, '--json')).json<{ file: string }>().file
}

const deploy = (index: number, file: string) =>
  on(index, 'deploy', file, '--on', nodes[index]?.name as string, '--json')

async function kill(index: number): Promise<void> {
  const { pid } = (await on(index, 'status', '--json')).json<{ pid: number }>()
  process.kill(pid, 'SIGKILL')
}

/** The daemon of a node in place of its ordinary one; it dies at the point. */
async function startFaulty(index: number, point: string): Promise<{ died: Promise<unknown[]> }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', DAEMON, home(index), point], {
    env: { ...warren.env, WARREN_HOME: home(index) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  const died = once(child, 'exit')
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), died])) as [unknown]
  expect(line).toBe('ready')
  return { died }
}

async function rolloutsOf(index: number, app: string): Promise<RolloutRow[]> {
  const rows = (await on(index, 'rollout', 'list', '--json')).json<RolloutRow[]>()
  return rows.filter((row) => row.app === app)
}

/** Waits until the newest rollout of an app is over, as a node sees it, and gives its end. */
async function settledRollout(index: number, app: string): Promise<string> {
  const newest = (await rolloutsOf(index, app))[0] as RolloutRow
  const watched = await warren.run(
    '--home',
    home(index),
    'rollout',
    'watch',
    newest.short,
    '--timeout',
    '60s',
    '--json',
  )
  return watched.lines<{ state: string }>().at(-1)?.state as string
}

/** What a node says of its own app, and what the kernel says: one process, the same, healthy. */
async function requireOneRuns(index: number, app: string): Promise<string> {
  const own = async () =>
    (await on(index, 'list', '--on', nodes[index]?.name as string, '--json'))
      .json<Row[]>()
      .find((row) => row.app === app)
  await expect.poll(own, { timeout: 20_000, interval: 100 }).toMatchObject({ status: 'running', health: 'healthy' })
  const row = (await own()) as Row
  expect(await appProcesses(home(index), app)).toEqual([{ pid: row.pid, version: row.version }])
  return row.version
}

/** A deploy to one node whose daemon dies at the point; then its ordinary daemon, until all is quiet. */
async function deployAndCrash(index: number, file: string, { app, point }: { app: string; point: string }) {
  await kill(index)
  const { died } = await startFaulty(index, point)
  const deployed = await warren.run(
    '--home',
    home(index),
    'deploy',
    file,
    '--on',
    nodes[index]?.name as string,
    '--json',
  )
  const halts = point === 'reverted' && deployed.code === 0
  if (halts) {
    const [row] = await rolloutsOf(index, app)
    await warren.run('--home', home(index), 'rollout', 'halt', row?.short as string, '--revert', '--json')
  }
  expect(await died).toEqual([null, 'SIGKILL'])
  const left = await appProcesses(home(index), app)
  expect(left.length).toBeLessThanOrEqual(1)
  await on(index, 'daemon', 'start', '--json')
  return { state: await settledRollout(index, app), version: await requireOneRuns(index, app) }
}

interface Case {
  point: string
  script: string
  ends: { state: string; version: 'old' | 'new' }
}
const ENDS_NEW = { state: 'done', version: 'new' } as const
const ENDS_OLD = { state: 'failed', version: 'old' } as const
const cases: Case[] = [
  ...TURN_POINTS.filter((point) => point !== 'reverted').map((point) => ({ point, script: GOOD, ends: ENDS_NEW })),
  ...FAULT_POINTS.filter((point) => !['failed', 'reverted'].includes(point)).map((point) => ({
    point,
    script: GOOD,
    ends: ENDS_NEW,
  })),
  ...(['installed', 'stopped', 'started', 'failed', 'reverted'] as const).map((point) => ({
    point,
    script: BROKEN,
    ends: ENDS_OLD,
  })),
  { point: 'reverted', script: GOOD, ends: { state: 'halted', version: 'old' } },
]

/** Goes through every third case on one node, one after another, each from a version that runs. */
async function crashAtEach(index: number): Promise<void> {
  const app = `step-${index}`
  let old = '1.0.0'
  await deploy(index, await pack(app, old, GOOD))
  for (const [number, { point, script, ends }] of cases.entries()) {
    if (number % 3 !== index) continue
    const version = `${number + 2}.0.0`
    const name = `${point}, ${script === GOOD ? 'a good version' : 'a broken one'}`
    const end = await deployAndCrash(index, await pack(app, version, script), { app, point })
    expect({ name, ...end }).toEqual({ name, state: ends.state, version: ends.version === 'new' ? version : old })
    old = `${number + 2}.1.0`
    await deploy(index, await pack(app, old, GOOD))
    expect(await requireOneRuns(index, app)).toBe(old)
  }
}

test('a deploy killed at each of its steps leaves one version running, the old or the new', async () => {
  await Promise.all([0, 1, 2].map(crashAtEach))
}, 120_000)
