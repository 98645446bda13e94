import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Apps } from './apps.ts'
import type { FaultPoint } from './switch.ts'
import { addTestPackage, BAD_TRIAL, createTestApps, processesOf, TEST_TRIAL } from './testing/test-node.ts'

const CHILD = fileURLToPath(new URL('testing/crash-child.ts', import.meta.url))
const signal = new AbortController().signal

let home: string
let apps: Apps | undefined
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-crash-'))
})
afterEach(async () => {
  for (const { app } of apps?.list() ?? []) await apps?.removeApp(app, { purge: true })
  await apps?.stop()
  apps = undefined
  await rm(home, { recursive: true, force: true })
})

async function deployAndCrash(digest: string, step: FaultPoint): Promise<void> {
  const child = spawn(process.execPath, ['--no-warnings', CHILD, home, digest, step], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [, killedBy] = (await once(child, 'exit')) as [number | null, string | null]
  expect(killedBy).toBe('SIGKILL')
}

const STAYS_UP = 'echo "version $WARREN_VERSION"; exec sleep 1000'
const cases: { step: FaultPoint; script: string; runs: string }[] = [
  { step: 'journaled', script: STAYS_UP, runs: '1.0.0' },
  { step: 'unpacked', script: STAYS_UP, runs: '1.0.0' },
  { step: 'installed', script: STAYS_UP, runs: '1.0.0' },
  { step: 'stopped', script: STAYS_UP, runs: '1.0.0' },
  { step: 'started', script: STAYS_UP, runs: '1.0.0' },
  { step: 'healthy', script: STAYS_UP, runs: '1.0.0' },
  { step: 'committed', script: STAYS_UP, runs: '2.0.0' },
  { step: 'pruned', script: STAYS_UP, runs: '2.0.0' },
  { step: 'failed', script: 'echo boom; exit 1', runs: '1.0.0' },
  { step: 'reverted', script: 'echo boom; exit 1', runs: '1.0.0' },
]

test.each(cases)('killed at "$step", exactly one version runs afterwards: $runs', async ({ step, script, runs }) => {
  const first = createTestApps(home)
  await first.start()
  const v1 = await addTestPackage(home, { version: '1.0.0', script: STAYS_UP })
  expect(await first.deploy({ instance: 'hello', digest: v1, trial: TEST_TRIAL }, { signal })).toMatchObject({
    ok: true,
  })
  const before = first.status('hello').pid
  await first.stop()

  const v2 = await addTestPackage(home, { version: '2.0.0', script })
  await deployAndCrash(v2, step)

  apps = createTestApps(home)
  await apps.start()
  const status = apps.status('hello')
  expect(status).toMatchObject({ version: runs, status: 'running', pending: null, desired: 'running' })
  expect(await processesOf(home, 'hello')).toEqual([status.pid])
  expect(await readlink(join(home, 'apps', 'hello', 'current'))).toMatch(new RegExp(`^versions/${runs}-`))
  if (step === 'journaled' || step === 'unpacked' || step === 'installed') expect(status.pid).toBe(before)
  const folders = await readdir(join(home, 'apps', 'hello', 'versions'))
  expect(folders).toHaveLength(apps.versions('hello').length)

  // The same deploy again ends where it would have ended.
  const trial = script === STAYS_UP ? TEST_TRIAL : BAD_TRIAL
  const outcome = await apps.deploy({ instance: 'hello', digest: v2, trial, generation: 2 }, { signal })
  expect(outcome).toMatchObject(script === STAYS_UP ? { ok: true, version: '2.0.0' } : { ok: false, version: '1.0.0' })
  expect(await processesOf(home, 'hello')).toEqual([apps.status('hello').pid])
  if (script !== STAYS_UP) return
  expect(await apps.revert('hello', { generation: 2 })).toEqual({ version: '1.0.0' })
  expect(await apps.revert('hello', { generation: 2 })).toEqual({ version: '1.0.0' })
  expect(await processesOf(home, 'hello')).toEqual([apps.status('hello').pid])
})

test('a first deploy that is killed on trial leaves nothing running, and can be made again', async () => {
  const digest = await addTestPackage(home, { version: '1.0.0', script: STAYS_UP })
  await deployAndCrash(digest, 'started')
  expect(await processesOf(home, 'hello')).toHaveLength(1)
  apps = createTestApps(home)
  await apps.start()
  expect(await processesOf(home, 'hello')).toEqual([])
  expect(apps.status('hello')).toMatchObject({ version: null, status: 'failed', desired: 'stopped' })
  expect(await apps.deploy({ instance: 'hello', digest, trial: TEST_TRIAL }, { signal })).toMatchObject({ ok: true })
})
