import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identityOfProcess, isProcessAlive, readProcessStat } from '../base/proc.ts'
import type { Apps } from './apps.ts'
import type { AppsDeps } from './deps.ts'
import { addTestPackage, createTestApps, processesOf, TEST_TRIAL } from './testing/test-node.ts'

const signal = new AbortController().signal
const STAYS_UP = 'echo "version $WARREN_VERSION"; exec sleep 1000'

let home: string
let apps: Apps
const opened: Apps[] = []
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-apps-'))
  apps = await open()
})
afterEach(async () => {
  for (const { app } of apps.list()) await apps.removeApp(app, { purge: true })
  for (const each of opened.splice(0)) await each.stop()
  await rm(home, { recursive: true, force: true })
})

async function open(more: Partial<AppsDeps> = {}): Promise<Apps> {
  const made = createTestApps(home, more)
  opened.push(made)
  await made.start()
  return made
}

async function reopen(more: Partial<AppsDeps> = {}): Promise<void> {
  await apps.stop()
  apps = await open(more)
}

async function deploy(
  version: string,
  script = STAYS_UP,
  {
    more = '',
    instance = 'hello',
    trial = TEST_TRIAL,
  }: { more?: string; instance?: string; trial?: typeof TEST_TRIAL } = {},
) {
  const digest = await addTestPackage(home, { version, script, more })
  return apps.deploy({ instance, digest, trial }, { signal })
}

async function lines(instance = 'hello'): Promise<string[]> {
  const read: string[] = []
  for await (const { line } of apps.logs({ instance, signal })) read.push(line)
  return read
}

const httpServer = (status: number): string =>
  `exec ${process.execPath} -e 'require("http").createServer((q, a) => { a.statusCode = ${status}; a.end("hi " + process.env.WARREN_VERSION) }).listen(Number(process.env.PORT), "127.0.0.1")'`
const HTTP = `ports: { web: auto }\nhealth_check: { type: http, http_path: / }\n`

test('a deployed app has a clean environment, its own data folder as home, and the version folder to run in', async () => {
  const script = 'env | sort; pwd; umask; readlink /proc/$$/fd/0; ls /proc/$$/fd | tr "\\n" " "; echo; exec sleep 1000'
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the manifest
  const more = 'ports: { web: auto, admin-api: auto }\nenv: { GREETING: "port ${port.admin-api}" }\n'
  expect(await deploy('1.0.0', script, { more })).toEqual({ ok: true, version: '1.0.0', unchanged: false })
  const row = apps.list()[0]
  if (row === undefined) throw new Error('no row')
  expect(row).toMatchObject({ node: 'burrow-1', app: 'hello', version: '1.0.0', status: 'running', health: 'healthy' })
  expect(row.restarts).toBe(0)
  const data = join(home, 'apps', 'hello', 'data')
  const [folder] = await readdir(join(home, 'apps', 'hello', 'versions'))
  const written = await lines()
  const variables = Object.fromEntries(written.filter((line) => line.includes('=')).map((line) => line.split(/=(.*)/s)))
  expect(variables).toEqual({
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: data,
    LANG: 'C.UTF-8',
    PWD: variables.PWD,
    GREETING: `port ${row.ports['admin-api']}`,
    PORT: String(row.ports.web),
    PORT_WEB: String(row.ports.web),
    PORT_ADMIN_API: String(row.ports['admin-api']),
    WARREN_NODE: 'burrow-1',
    WARREN_INSTANCE: 'hello',
    WARREN_APP: 'hello',
    WARREN_VERSION: '1.0.0',
    WARREN_DATA: data,
    WARREN_RUN: variables.WARREN_RUN,
  })
  expect(written).toContain(join(home, 'apps', 'hello', 'versions', String(folder)))
  expect(written).toContain('0077')
  expect(written).toContain('/dev/null')
  // The shell itself holds its script open as 10 (or 255); nothing of ours is among them.
  expect(written.find((line) => /^0 1 (10 )?2 /.test(line))).toBeDefined()
  const stat = readProcessStat(row.pid ?? 0)
  expect(stat?.session).not.toBe(readProcessStat(process.pid)?.session)
})

test('a version that ends on trial is gone back from, and the reason has code, time and last line', async () => {
  await deploy('1.0.0')
  const outcome = await deploy('2.0.0', 'echo starting; sleep 0.2; echo boom >&2; exit 1', {
    trial: { ...TEST_TRIAL, minHealthyMs: 10_000 },
  })
  expect(outcome).toMatchObject({ ok: false, version: '1.0.0', lastLine: 'boom', exit: { code: 1, byWarren: false } })
  expect(outcome.ok ? '' : outcome.reason).toMatch(/^exit code 1 after \d\.\d s, last line "boom"$/)
  expect(apps.status('hello')).toMatchObject({ version: '1.0.0', status: 'running', reason: null })
  expect(await processesOf(home, 'hello')).toEqual([apps.status('hello').pid])
  expect(apps.versions('hello').map(({ version, state }) => `${version} ${state}`)).toEqual(['2.0.0 bad', '1.0.0 good'])
  expect(apps.history('hello')[0]).toMatchObject({ kind: 'deploy', from: '1.0.0', to: '2.0.0', ok: false })
})

test('a program that is not there, or killed by a signal, says so', async () => {
  const digest = await addTestPackage(home, { version: '1.0.0', script: '', more: 'args: []\n' })
  await writeFile(
    join(home, 'test-packages', digest, 'manifest.yaml'),
    'name: hello\nversion: "1.0.0"\nentrypoint: no-such-program\n',
  )
  const missing = await apps.deploy({ instance: 'hello', digest, trial: TEST_TRIAL }, { signal })
  expect(missing.ok ? '' : missing.reason).toMatch(/^exit code 127 after 0\.\d s, last line ".*no-such-program.*"$/)
  const killed = await deploy('2.0.0', 'kill -9 $$')
  expect(killed.ok ? '' : killed.reason).toMatch(/^exit code 137 \(SIGKILL or exit 137\) after /)
  expect(apps.status('hello')).toMatchObject({ version: null, status: 'failed', desired: 'stopped' })
})

test('a health check on the chosen port gates the deploy, and the port stays over versions', async () => {
  expect(await deploy('1.0.0', httpServer(200), { more: HTTP })).toMatchObject({ ok: true })
  const port = apps.status('hello').ports.web ?? 0
  expect(await fetchText(port)).toBe('hi 1.0.0')
  const trial = { ...TEST_TRIAL, deadlineMs: 1500 }
  const bad = await deploy('2.0.0', httpServer(503), { more: HTTP, trial })
  expect(bad.ok ? '' : bad.reason).toMatch(
    new RegExp(`^not healthy within 1\\.5 s: GET / on port ${port} (answered 503|: ECONNREFUSED)`),
  )
  expect(apps.status('hello')).toMatchObject({ version: '1.0.0', ports: { web: port } })
  await expect.poll(() => fetchText(port).catch(() => '')).toBe('hi 1.0.0')
  expect(await deploy('3.0.0', httpServer(200), { more: HTTP })).toMatchObject({ ok: true })
  expect(apps.status('hello')).toMatchObject({ version: '3.0.0', ports: { web: port }, health: 'healthy' })
}, 30_000)

test('an app that becomes unhealthy, and well again, is shown so', async () => {
  const script = `exec ${process.execPath} -e 'const fs = require("fs"); require("http").createServer((q, a) => { a.statusCode = fs.existsSync(process.env.WARREN_DATA + "/ill") ? 500 : 200; a.end() }).listen(Number(process.env.PORT), "127.0.0.1")'`
  const more = 'ports: { web: auto }\nhealth_check: { type: http, interval: 20ms, retries: 2 }\n'
  await deploy('1.0.0', script, { more })
  await writeFile(join(home, 'apps', 'hello', 'data', 'ill'), '')
  await expect.poll(() => apps.status('hello').health).toBe('unhealthy')
  expect(apps.status('hello').reason).toMatch(/answered 500$/)
  await rm(join(home, 'apps', 'hello', 'data', 'ill'))
  await expect.poll(() => apps.status('hello').health).toBe('healthy')
  expect(apps.status('hello').reason).toBeNull()
})

test('stop ends the whole tree, also what does not listen to SIGTERM and what left the session', async () => {
  const script = `trap '' TERM; setsid sh -c 'trap "" TERM; echo up; sleep 1000 & sleep 1000' & (setsid sleep 1000 &) ; while :; do sleep 1000; done`
  await deploy('1.0.0', script)
  expect((await processesOf(home, 'hello')).length).toBeGreaterThan(3)
  await reopen({ stopGraceMs: 200 })
  const status = await apps.stopApp('hello')
  expect(status).toMatchObject({ status: 'stopped', health: 'none', pid: null, exit: 'SIGKILL', desired: 'stopped' })
  expect(await processesOf(home, 'hello')).toEqual([])
  await reopen()
  expect(apps.status('hello')).toMatchObject({ status: 'stopped' })
  expect(await apps.startApp('hello')).toMatchObject({ status: 'running', version: '1.0.0' })
  const { pid } = apps.status('hello')
  expect(await apps.startApp('hello')).toMatchObject({ pid })
  expect((await apps.restartApp('hello')).pid).not.toBe(pid)
})

test('an app that listens to SIGTERM has its grace', async () => {
  await deploy('1.0.0', `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`)
  expect(await apps.stopApp('hello')).toMatchObject({ exit: 'exit code 0', exit_code: 0 })
  expect(await lines()).toContain('bye')
})

test('an app that ends by itself is failed, what it left behind is ended, and the next daemon starts it again', async () => {
  await deploy('1.0.0', '(sleep 1000 &) ; sleep 0.4; echo too bad >&2; exit 7')
  await expect.poll(() => apps.status('hello').status).toBe('failed')
  expect(apps.status('hello')).toMatchObject({ exit_code: 7, desired: 'running', health: 'none' })
  expect(apps.status('hello').reason).toMatch(/^exit code 7 after 0\.\d s, last line "too bad"$/)
  expect(await processesOf(home, 'hello')).toEqual([])
  await reopen()
  expect(apps.status('hello')).toMatchObject({ status: 'running' })
})

test('an app that ended while no daemon ran is started by the next one, and its exit counts as a restart', async () => {
  await deploy('1.0.0')
  const { pid } = apps.status('hello')
  await apps.stop()
  process.kill(pid ?? 0, 'SIGKILL')
  await expect.poll(() => processesOf(home, 'hello')).toEqual([])
  apps = await open()
  expect(apps.status('hello')).toMatchObject({ status: 'running', restarts: 1 })
  expect(apps.status('hello').pid).not.toBe(pid)
})

test('after a restart of the machine what should run is started, and a process with the old pid is left alone', async () => {
  await deploy('1.0.0')
  await apps.stop()
  const runs = join(home, 'run', 'keepers', 'hello')
  const [run = ''] = await readdir(runs)
  const pid = Number.parseInt(await readFile(join(runs, run, 'pid'), 'latin1'), 10)
  const old = identityOfProcess(pid)
  if (old === undefined) throw new Error('the app is not there')
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => processesOf(home, 'hello')).toEqual([])
  // As found after a boot: no exit was recorded, the boot id is another, and the pid is somebody else's.
  await rm(join(runs, run, 'exit.137'), { force: true })
  const bystander = spawn('/bin/sleep', ['1000'], { stdio: 'ignore' })
  await once(bystander, 'spawn')
  const line = await readFile(`/proc/${bystander.pid}/stat`, 'latin1')
  await writeFile(join(runs, run, 'pid'), line)
  const launch = JSON.parse(await readFile(join(runs, run, 'launch.json'), 'utf8')) as object
  await writeFile(join(runs, run, 'launch.json'), JSON.stringify({ ...launch, bootId: 'of-before' }))
  apps = await open()
  expect(apps.status('hello')).toMatchObject({ status: 'running' })
  expect(isProcessAlive(identityOfProcess(bystander.pid ?? 0) ?? old)).toBe(true)
  bystander.kill('SIGKILL')
  await once(bystander, 'exit')
})

test('a keeper that was killed leaves its app running; its end is seen, its code is not known', async () => {
  await deploy('1.0.0')
  const pid = apps.status('hello').pid ?? 0
  const keeper = readProcessStat(pid)?.parentPid ?? 0
  process.kill(keeper, 'SIGKILL')
  await expect.poll(() => readProcessStat(keeper)?.state ?? 'gone').toMatch(/gone|Z/)
  await reopen()
  expect(apps.status('hello')).toMatchObject({ pid, status: 'running' })
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => apps.status('hello').status, { timeout: 10_000 }).toBe('failed')
  expect(apps.status('hello').reason).toMatch(/^exit code unknown/)
}, 20_000)

test('kill -9 of the daemon: the app keeps its pid, its log has no gap, and the next daemon takes it over', async () => {
  const script = 'i=0; while :; do echo "tick $i"; i=$((i+1)); sleep 0.01; done'
  await deploy('1.0.0')
  await apps.stop()
  const digest = await addTestPackage(home, { version: '2.0.0', script })
  const file = fileURLToPath(new URL('testing/crash-child.ts', import.meta.url))
  const child = spawn(process.execPath, ['--no-warnings', file, home, digest, 'pruned'], { stdio: 'ignore' })
  const [, killedBy] = (await once(child, 'exit')) as [number | null, string | null]
  expect(killedBy).toBe('SIGKILL')
  const log = join(home, 'apps', 'hello', 'logs', 'stdout.log')
  const ticks = async (): Promise<number> => (await readFile(log, 'utf8')).split('\n').length
  const before = await ticks()
  await expect.poll(ticks).toBeGreaterThan(before + 5)
  const [pid] = (await processesOf(home, 'hello')).filter((each) => readProcessStat(each)?.parentPid !== undefined)
  apps = await open()
  expect(await processesOf(home, 'hello')).toContain(apps.status('hello').pid)
  expect(pid).toBeDefined()
  expect(apps.status('hello')).toMatchObject({ version: '2.0.0', status: 'running', restarts: 0 })
  const numbers = (await lines()).flatMap((line) => /^tick (\d+)$/.exec(line)?.[1] ?? []).map(Number)
  expect(numbers.length).toBeGreaterThan(before)
  expect(numbers).toEqual(numbers.map((_, index) => index))
}, 20_000)

test('a daemon that stops during a trial leaves it to the next one, which goes back', async () => {
  await deploy('1.0.0')
  const digest = await addTestPackage(home, { version: '2.0.0', script: STAYS_UP })
  const stopped = new Promise<void>((resolve) => {
    const trial = { ...TEST_TRIAL, minHealthyMs: 10_000 }
    const onPhase = (phase: string): void => {
      if (phase === 'health') void apps.stop().then(resolve)
    }
    apps.deploy({ instance: 'hello', digest, trial }, { signal, onPhase }).catch(() => undefined)
  })
  await stopped
  apps = await open()
  expect(apps.status('hello')).toMatchObject({ version: '1.0.0', status: 'running', pending: null })
  expect(await processesOf(home, 'hello')).toEqual([apps.status('hello').pid])
})

test('the same package again changes nothing; other content under the same version is refused', async () => {
  await deploy('1.0.0')
  const { pid } = apps.status('hello')
  expect(await deploy('1.0.0')).toEqual({ ok: true, version: '1.0.0', unchanged: true })
  expect(apps.status('hello').pid).toBe(pid)
  await expect(deploy('1.0.0', 'exec sleep 2000')).rejects.toMatchObject({ code: 'version_conflict' })
  expect(apps.status('hello')).toMatchObject({ pid, status: 'running' })
})

test('what cannot be deployed is refused before anything is touched', async () => {
  await deploy('1.0.0')
  const { pid } = apps.status('hello')
  const refused = async (more: string, instance = 'hello') =>
    (await deploy('2.0.0', STAYS_UP, { more, instance }).then(
      () => undefined,
      (error: unknown) => error,
    )) as { code: string; message: string }
  expect((await refused('scripts: { pre-start: x }\n')).code).toBe('manifest_unsupported')
  expect((await refused('platforms: [darwin-arm64]\n')).code).toBe('platform_not_supported')
  expect((await refused('', '../x')).code).toBe('invalid_value')
  await expect(
    apps.deploy({ instance: 'hello', digest: 'f'.repeat(64), trial: TEST_TRIAL }, { signal }),
  ).rejects.toMatchObject({ code: 'package_not_found' })
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const taken = await refused(`ports: { web: ${port} }\n`)
  expect(taken.code).toBe('port_in_use')
  expect(taken.message).toContain(String(port))
  const fresh = await refused(`ports: { web: ${port} }\n`, 'second')
  expect(fresh.code).toBe('port_in_use')
  await new Promise((resolve) => server.close(resolve))
  expect(apps.list().map(({ app }) => app)).toEqual(['hello'])
  expect(await readdir(join(home, 'apps'))).toEqual(['hello'])
  expect(apps.status('hello')).toMatchObject({ pid, status: 'running', pending: null })
  expect(() => apps.status('nothing')).toThrow(expect.objectContaining({ code: 'app_not_found' }))
})

test('two apps of one package run side by side, and a name belongs to one package', async () => {
  await deploy('1.0.0')
  await deploy('2.0.0', STAYS_UP, { instance: 'other' })
  expect(apps.list().map(({ app, version, status }) => `${app} ${version} ${status}`)).toEqual([
    'hello 1.0.0 running',
    'other 2.0.0 running',
  ])
})

test('switch and rollback change the version behind the gate, and only so many versions are kept', async () => {
  await reopen({ keepVersions: 3 })
  for (const version of ['1.0.0', '2.0.0', '3.0.0', '4.0.0']) await deploy(version)
  expect(apps.versions('hello').map(({ version }) => version)).toEqual(['4.0.0', '3.0.0', '2.0.0'])
  expect(await readdir(join(home, 'apps', 'hello', 'versions'))).toHaveLength(3)
  expect(await apps.rollback('hello')).toMatchObject({ version: '3.0.0', status: 'running' })
  expect(await apps.switchVersion('hello', '2.0.0')).toMatchObject({ version: '2.0.0', status: 'running' })
  await expect(apps.switchVersion('hello', '1.0.0')).rejects.toMatchObject({ code: 'version_not_found' })
  expect(apps.history('hello')[0]).toMatchObject({ kind: 'switch', from: '3.0.0', to: '2.0.0', ok: true })
}, 20_000)

test('a verb during a deploy is refused, a second deploy waits', async () => {
  await deploy('1.0.0')
  const second = await addTestPackage(home, { version: '2.0.0', script: STAYS_UP })
  let refusal: unknown
  const outcome = await apps.deploy(
    { instance: 'hello', digest: second, trial: TEST_TRIAL },
    { signal, onPhase: () => void apps.stopApp('hello').catch((error: unknown) => (refusal ??= error)) },
  )
  expect(outcome.ok).toBe(true)
  expect(refusal).toMatchObject({ code: 'app_busy' })
  await expect(
    Promise.all([deploy('3.0.0'), new Promise<void>((resolve) => setImmediate(resolve)).then(() => deploy('4.0.0'))]),
  ).resolves.toMatchObject([{ ok: true }, { ok: true }])
  expect(await processesOf(home, 'hello')).toHaveLength(1)
})

test('a damaged instance is set aside and named, the others go on', async () => {
  await deploy('1.0.0')
  await deploy('1.0.0', STAYS_UP, { instance: 'other' })
  await apps.stop()
  await writeFile(join(home, 'apps', 'other', 'instance.json'), '{"format":1,')
  apps = await open()
  expect(apps.list().map(({ app }) => app)).toEqual(['hello'])
  expect(apps.problems()).toEqual([
    { instance: 'other', message: expect.stringMatching(/damaged.*set aside as .*other/) },
  ])
  expect((await readdir(join(home, 'apps', 'other'))).some((name) => name.includes('.damaged-'))).toBe(true)
  // The next deploy of that name ends what still ran and begins anew.
  expect(await deploy('1.0.0', STAYS_UP, { instance: 'other' })).toMatchObject({ ok: true })
  expect(await processesOf(home, 'other')).toEqual([apps.status('other').pid])
})

test('remove keeps the data unless told otherwise, and leaves nothing else', async () => {
  await deploy('1.0.0', 'echo precious > "$WARREN_DATA/file"; exec sleep 1000')
  const kept = join(home, 'apps', 'hello', 'data')
  expect(await apps.removeApp('hello', { purge: false })).toEqual({ node: 'burrow-1', app: 'hello', data_kept: kept })
  expect(await readdir(join(home, 'apps', 'hello'))).toEqual(['data'])
  expect(await processesOf(home, 'hello')).toEqual([])
  await deploy('2.0.0', 'cat "$WARREN_DATA/file"; exec sleep 1000')
  expect(await lines()).toEqual(['precious'])
  expect(await apps.removeApp('hello', { purge: true })).toMatchObject({ data_kept: null })
  expect(await readdir(join(home, 'apps'))).toEqual([])
  expect(await readdir(join(home, 'run', 'keepers'))).toEqual(['keeper-v1.sh'])
})

test('a follower of the logs goes on across deploys and restarts, and ends when the app is removed', async () => {
  await deploy('1.0.0')
  const seen: string[] = []
  const follower = (async () => {
    for await (const row of apps.logs({ instance: 'hello', follow: true, tail: 10, signal })) seen.push(row.line)
  })()
  await expect.poll(() => seen).toEqual(['version 1.0.0'])
  await deploy('2.0.0')
  await apps.restartApp('hello')
  await expect.poll(() => seen).toEqual(['version 1.0.0', 'version 2.0.0', 'version 2.0.0'])
  await apps.removeApp('hello', { purge: true })
  await follower
})

function fetchText(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}
