/** Daemons that are killed in the middle of a deploy: on every node the old or the new version runs afterwards. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FAULT_POINTS } from '../../src/app/index.ts'
import { FAULT_POINTS as TURN_POINTS } from '../../src/rollout/turn.ts'
import { compiledOnce } from '../program.ts'
import { appProcesses } from './app-processes.ts'
import { createTestLab, newestRollout, STAYS_UP, settledRollout, type TestLab } from './fleet-of.ts'

const DAEMON = fileURLToPath(new URL('daemon-process.ts', import.meta.url))
const BROKEN = 'echo boom; exit 1'

let lab: TestLab
const children = new Set<ChildProcess>()
beforeAll(async () => {
  lab = await createTestLab(3)
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await lab?.warren.cleanup()
})

/** The daemon of a node in place of its ordinary one; it dies at the point. */
async function startFaulty(index: number, point: string): Promise<{ died: Promise<unknown[]> }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', DAEMON, lab.home(index), point], {
    env: compiledOnce({ ...lab.warren.env, WARREN_HOME: lab.home(index), WARREN_LOGGING_LEVEL: 'error' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  const died = once(child, 'exit')
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), died])) as [unknown]
  expect(line).toBe('ready')
  return { died }
}

const deployTo = (index: number, file: string) => ['deploy', file, '--on', lab.nameOf(index), '--json']

/** A deploy to one node whose daemon dies at the point; then its ordinary daemon, until all is quiet. */
async function deployAndCrash(index: number, file: string, { app, point }: { app: string; point: string }) {
  await lab.kill(index)
  const { died } = await startFaulty(index, point)
  const deployed = await lab.run(index, ...deployTo(index, file))
  if (point === 'reverted' && deployed.code === 0) {
    await lab.run(index, 'rollout', 'halt', (await newestRollout(lab, index, app)).short, '--revert', '--json')
  }
  expect(await died).toEqual([null, 'SIGKILL'])
  expect((await appProcesses(lab.home(index), app)).length).toBeLessThanOrEqual(1)
  await lab.must(index, 'daemon', 'start', '--json')
  return { state: await settledRollout(lab, index, app), version: await lab.requireOneRuns(index, app) }
}

interface Case {
  readonly point: string
  readonly script: string
  readonly state: string
  readonly version: 'old' | 'new'
}
const good = (point: string): Case => ({ point, script: STAYS_UP, state: 'done', version: 'new' })
const broken = (point: string): Case => ({ point, script: BROKEN, state: 'failed', version: 'old' })
const cases: Case[] = [
  ...TURN_POINTS.filter((point) => point !== 'reverted').map(good),
  ...FAULT_POINTS.filter((point) => point !== 'failed' && point !== 'reverted').map(good),
  ...['started', 'failed', 'reverted'].map(broken),
  // Of a rollout that is halted with revert.
  { point: 'reverted', script: STAYS_UP, state: 'halted', version: 'old' },
]

/** Goes through every third case on one node, one after another, each from the version that runs since the one before. */
async function crashAtEach(index: number): Promise<void> {
  const app = `step-${index}`
  let old = '1.0.0'
  await lab.must(index, ...deployTo(index, await lab.pack(app, old)))
  for (const [number, { point, script, state, version }] of cases.entries()) {
    if (number % 3 !== index) continue
    const next = `${number + 2}.0.0`
    const name = `${point}, ${script === STAYS_UP ? 'a good version' : 'a broken one'}`
    const end = await deployAndCrash(index, await lab.pack(app, next, { script }), { app, point })
    old = version === 'new' ? next : old
    expect({ name, ...end }).toEqual({ name, state, version: old })
  }
}

test('a deploy killed at each of its steps leaves one version running, the old or the new', async () => {
  await Promise.all([0, 1, 2].map(crashAtEach))
})
