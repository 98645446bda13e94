import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { identityOfProcess, isProcessAlive, readProcessStat } from '../base/proc.ts'
import { addTestPackage, processesOf, TEST_TRIAL } from './testing/test-node.ts'
import { STAYS_UP, useApps } from './testing/use-apps.ts'

const signal = new AbortController().signal
const node = useApps()

test('stop ends the whole tree, also what does not listen to SIGTERM and what left the session', async () => {
  const script = `trap '' TERM; setsid sh -c 'trap "" TERM; echo up; sleep 1000 & sleep 1000' & (setsid sleep 1000 &) ; while :; do sleep 1000; done`
  await node.deploy('1.0.0', script)
  await expect.poll(() => node.lines()).toContain('up')
  await expect.poll(async () => (await processesOf(node.home, 'hello')).length).toBeGreaterThan(3)
  await node.reopen({ stopGraceMs: 200 })
  const status = await node.apps.stopApp('hello')
  expect(status).toMatchObject({ status: 'stopped', health: 'none', pid: null, exit: 'SIGKILL', desired: 'stopped' })
  expect(await processesOf(node.home, 'hello')).toEqual([])
  await node.reopen({ stopGraceMs: 200 })
  expect(node.apps.status('hello')).toMatchObject({ status: 'stopped' })
  expect(await node.apps.startApp('hello')).toMatchObject({ status: 'running', version: '1.0.0' })
  const { pid } = node.apps.status('hello')
  expect(await node.apps.startApp('hello')).toMatchObject({ pid })
  expect((await node.apps.restartApp('hello')).pid).not.toBe(pid)
})

test('an app that listens to SIGTERM has its grace', async () => {
  await node.deploy('1.0.0', `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`)
  await expect.poll(() => node.lines()).toContain('up')
  expect(await node.apps.stopApp('hello')).toMatchObject({ exit: 'exit code 0', exit_code: 0 })
  expect(await node.lines()).toContain('bye')
})

test('an app that ends by itself is failed, what it left behind is ended, and the next daemon starts it again', async () => {
  const script = '(sleep 1000 &) ; until [ -e "$WARREN_DATA/end" ]; do sleep 0.05; done; echo too bad >&2; exit 7'
  expect(await node.deploy('1.0.0', script)).toMatchObject({ ok: true })
  const end = join(node.home, 'apps', 'hello', 'data', 'end')
  await writeFile(end, '')
  await expect.poll(() => node.apps.status('hello').status).toBe('failed')
  expect(node.apps.status('hello')).toMatchObject({ exit_code: 7, desired: 'running', health: 'none' })
  expect(node.apps.status('hello').reason).toMatch(/^exit code 7 after \d+\.\d s, last line "too bad"$/)
  expect(await processesOf(node.home, 'hello')).toEqual([])
  await rm(end)
  await node.reopen()
  expect(node.apps.status('hello')).toMatchObject({ status: 'running' })
})

test('an app that ended while no daemon ran is started by the next one, and its exit counts as a restart', async () => {
  await node.deploy('1.0.0')
  const { pid } = node.apps.status('hello')
  await node.apps.stop()
  process.kill(pid ?? 0, 'SIGKILL')
  await expect.poll(() => processesOf(node.home, 'hello')).toEqual([])
  await node.open()
  expect(node.apps.status('hello')).toMatchObject({ status: 'running', restarts: 1 })
  expect(node.apps.status('hello').pid).not.toBe(pid)
})

test('after a restart of the machine what should run is started, and a process with the old pid is left alone', async () => {
  await node.deploy('1.0.0')
  await node.apps.stop()
  const runs = join(node.home, 'run', 'keepers', 'hello')
  const [run = ''] = await readdir(runs)
  const pid = Number.parseInt(await readFile(join(runs, run, 'pid'), 'latin1'), 10)
  const old = identityOfProcess(pid)
  if (old === undefined) throw new Error('the app is not there')
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => processesOf(node.home, 'hello')).toEqual([])
  // As found after a boot: no exit was recorded, the boot id is another, and the pid is somebody else's.
  await rm(join(runs, run, 'exit.137'), { force: true })
  const bystander = spawn('/bin/sleep', ['1000'], { stdio: 'ignore' })
  await once(bystander, 'spawn')
  const line = await readFile(`/proc/${bystander.pid}/stat`, 'latin1')
  await writeFile(join(runs, run, 'pid'), line)
  const launch = JSON.parse(await readFile(join(runs, run, 'launch.json'), 'utf8')) as object
  await writeFile(join(runs, run, 'launch.json'), JSON.stringify({ ...launch, bootId: 'of-before' }))
  await node.open()
  expect(node.apps.status('hello')).toMatchObject({ status: 'running' })
  expect(isProcessAlive(identityOfProcess(bystander.pid ?? 0) ?? old)).toBe(true)
  bystander.kill('SIGKILL')
  await once(bystander, 'exit')
})

test('a keeper that was killed leaves its app running; its end is seen, its code is not known', async () => {
  await node.deploy('1.0.0')
  const pid = node.apps.status('hello').pid ?? 0
  const keeper = readProcessStat(pid)?.parentPid ?? 0
  process.kill(keeper, 'SIGKILL')
  await expect.poll(() => readProcessStat(keeper)?.state ?? 'gone').toMatch(/gone|Z/)
  await node.reopen()
  expect(node.apps.status('hello')).toMatchObject({ pid, status: 'running' })
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => node.apps.status('hello').status).toBe('failed')
  expect(node.apps.status('hello').reason).toMatch(/^exit code unknown/)
})

test('kill -9 of the daemon: the app keeps its pid, its log has no gap, and the next daemon takes it over', async () => {
  const script = 'i=0; while :; do echo "tick $i"; i=$((i+1)); sleep 0.01; done'
  await node.deploy('1.0.0')
  await node.apps.stop()
  const digest = await addTestPackage(node.home, { version: '2.0.0', script })
  const file = fileURLToPath(new URL('testing/crash-child.ts', import.meta.url))
  const child = spawn(process.execPath, ['--no-warnings', file, node.home, digest, 'pruned'], { stdio: 'ignore' })
  const [, killedBy] = (await once(child, 'exit')) as [number | null, string | null]
  expect(killedBy).toBe('SIGKILL')
  const log = join(node.home, 'apps', 'hello', 'logs', 'stdout.log')
  const ticks = async (): Promise<number> => (await readFile(log, 'utf8')).split('\n').length
  const before = await ticks()
  await expect.poll(ticks).toBeGreaterThan(before + 5)
  const [pid] = (await processesOf(node.home, 'hello')).filter((each) => readProcessStat(each)?.parentPid !== undefined)
  await node.open()
  expect(await processesOf(node.home, 'hello')).toContain(node.apps.status('hello').pid)
  expect(pid).toBeDefined()
  expect(node.apps.status('hello')).toMatchObject({ version: '2.0.0', status: 'running', restarts: 0 })
  const numbers = (await node.lines()).flatMap((line) => /^tick (\d+)$/.exec(line)?.[1] ?? []).map(Number)
  expect(numbers.length).toBeGreaterThan(before)
  expect(numbers).toEqual(numbers.map((_, index) => index))
})

test('a daemon that stops during a trial leaves it to the next one, which goes back', async () => {
  await node.deploy('1.0.0')
  const digest = await addTestPackage(node.home, { version: '2.0.0', script: STAYS_UP })
  const stopped = new Promise<void>((resolve) => {
    const trial = { ...TEST_TRIAL, minHealthyMs: 10_000 }
    const onPhase = (phase: string): void => {
      if (phase === 'health') void node.apps.stop().then(resolve)
    }
    node.apps.deploy({ instance: 'hello', digest, trial }, { signal, onPhase }).catch(() => undefined)
  })
  await stopped
  await node.open()
  expect(node.apps.status('hello')).toMatchObject({ version: '1.0.0', status: 'running', pending: null })
  expect(await processesOf(node.home, 'hello')).toEqual([node.apps.status('hello').pid])
})

test('a damaged instance is set aside and named, the others go on', async () => {
  await node.deploy('1.0.0')
  await node.deploy('1.0.0', STAYS_UP, { instance: 'other' })
  await node.apps.stop()
  await writeFile(join(node.home, 'apps', 'other', 'instance.json'), '{"format":1,')
  // Named at every start, until it was deployed again.
  for (let start = 0; start < 2; start++) {
    if (start > 0) await node.apps.stop()
    await node.open()
    expect(node.apps.list().map(({ app }) => app)).toEqual(['hello'])
    expect(node.apps.problems()).toEqual([
      { instance: 'other', message: expect.stringMatching(/damaged.*set aside as .*other/) },
    ])
  }
  expect((await readdir(join(node.home, 'apps', 'other'))).some((name) => name.includes('.damaged-'))).toBe(true)
  // The next deploy of that name ends what still ran and begins anew.
  expect(await node.deploy('1.0.0', STAYS_UP, { instance: 'other' })).toMatchObject({ ok: true })
  expect(await processesOf(node.home, 'other')).toEqual([node.apps.status('other').pid])
  expect(node.apps.problems()).toEqual([])
})

test('stopping all stops every app, and what a damaged instance left running', async () => {
  await node.deploy('1.0.0')
  await node.deploy('1.0.0', STAYS_UP, { instance: 'other' })
  await node.apps.stop()
  await writeFile(join(node.home, 'apps', 'other', 'instance.json'), '{"format":1,')
  await node.open()
  expect(await processesOf(node.home, 'other')).toHaveLength(1)
  expect((await node.apps.stopAll()).toSorted()).toEqual(['hello', 'other'])
  expect(await processesOf(node.home, 'other')).toEqual([])
  expect(await processesOf(node.home, 'hello')).toEqual([])
  expect(await node.apps.stopAll()).toEqual([])
  // Its run folder goes, and with it the group that the run was in.
  expect(await readdir(join(node.home, 'run', 'keepers', 'other'))).toEqual([])
})
