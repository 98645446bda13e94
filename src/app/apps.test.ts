import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readProcessStat } from '../base/proc.ts'
import { addTestPackage, BAD_TRIAL, processesOf, TEST_TRIAL } from './testing/test-node.ts'
import { STAYS_UP, useApps } from './testing/use-apps.ts'

const signal = new AbortController().signal
const node = useApps()

const httpServer = (status: number): string =>
  `exec ${process.execPath} -e 'require("http").createServer((q, a) => { a.statusCode = ${status}; a.end("hi " + process.env.WARREN_VERSION) }).listen(Number(process.env.PORT), "127.0.0.1")'`
const HTTP = `ports: { web: auto }\nhealth_check: { type: http, http_path: / }\n`

test('a deployed app has a clean environment, its own data folder as node.home, and the version folder to run in', async () => {
  const script = 'env | sort; pwd; umask; readlink /proc/$$/fd/0; ls /proc/$$/fd | tr "\\n" " "; echo; exec sleep 1000'
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the manifest
  const more = 'ports: { web: auto, admin-api: auto }\nenv: { GREETING: "port ${port.admin-api}" }\n'
  expect(await node.deploy('1.0.0', script, { more })).toEqual({ ok: true, version: '1.0.0', unchanged: false })
  const row = node.apps.list()[0]
  if (row === undefined) throw new Error('no row')
  expect(row).toMatchObject({ node: 'burrow-1', app: 'hello', version: '1.0.0', status: 'running', health: 'healthy' })
  expect(row.restarts).toBe(0)
  const data = join(node.home, 'apps', 'hello', 'data')
  const [folder] = await readdir(join(node.home, 'apps', 'hello', 'versions'))
  // The last line of the script. The shell itself holds its script open as 10 (or 255); nothing of ours is among them.
  await expect.poll(() => node.lines()).toContainEqual(expect.stringMatching(/^0 1 (10 )?2 /))
  const written = await node.lines()
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
  expect(written).toContain(join(node.home, 'apps', 'hello', 'versions', String(folder)))
  expect(written).toContain('0077')
  expect(written).toContain('/dev/null')
  const stat = readProcessStat(row.pid ?? 0)
  expect(stat?.session).not.toBe(readProcessStat(process.pid)?.session)
})

test('a version that ends on trial is gone back from, and the reason has code, time and last line', async () => {
  await node.deploy('1.0.0')
  const outcome = await node.deploy('2.0.0', 'echo starting; sleep 0.2; echo boom >&2; exit 1', {
    trial: BAD_TRIAL,
  })
  expect(outcome).toMatchObject({ ok: false, version: '1.0.0', lastLine: 'boom', exit: { code: 1, byWarren: false } })
  expect(outcome.ok ? '' : outcome.reason).toMatch(/^exit code 1 after \d+\.\d s, last line "boom"$/)
  expect(node.apps.status('hello')).toMatchObject({ version: '1.0.0', status: 'running', reason: null })
  expect(await processesOf(node.home, 'hello')).toEqual([node.apps.status('hello').pid])
  expect(node.apps.versions('hello').map(({ version, state }) => `${version} ${state}`)).toEqual([
    '2.0.0 bad',
    '1.0.0 good',
  ])
  expect(node.apps.history('hello')[0]).toMatchObject({ kind: 'deploy', from: '1.0.0', to: '2.0.0', ok: false })
})

test('a program that is not there, or killed by a signal, says so', async () => {
  const digest = await addTestPackage(node.home, { version: '1.0.0', script: '', more: 'args: []\n' })
  await writeFile(
    join(node.home, 'test-packages', digest, 'manifest.yaml'),
    'name: hello\nversion: "1.0.0"\nentrypoint: no-such-program\n',
  )
  const missing = await node.apps.deploy({ instance: 'hello', digest, trial: BAD_TRIAL }, { signal })
  expect(missing.ok ? '' : missing.reason).toMatch(/^exit code 127 after \d+\.\d s, last line ".*no-such-program.*"$/)
  const killed = await node.deploy('2.0.0', 'kill -9 $$', { trial: BAD_TRIAL })
  expect(killed.ok ? '' : killed.reason).toMatch(/^exit code 137 \(SIGKILL or exit 137\) after /)
  expect(node.apps.status('hello')).toMatchObject({ version: null, status: 'failed', desired: 'stopped' })
})

test('a health check on the chosen port gates the deploy, and the port stays over versions', async () => {
  expect(await node.deploy('1.0.0', httpServer(200), { more: HTTP })).toMatchObject({ ok: true })
  const port = node.apps.status('hello').ports.web ?? 0
  expect(await fetchText(port)).toBe('hi 1.0.0')
  const trial = { ...TEST_TRIAL, deadlineMs: 1500 }
  const bad = await node.deploy('2.0.0', httpServer(503), { more: HTTP, trial })
  expect(bad.ok ? '' : bad.reason).toMatch(
    new RegExp(`^not healthy within 1\\.5 s: GET / on port ${port} (answered 503|: ECONNREFUSED)`),
  )
  expect(node.apps.status('hello')).toMatchObject({ version: '1.0.0', ports: { web: port } })
  await expect.poll(() => fetchText(port).catch(() => '')).toBe('hi 1.0.0')
  expect(await node.deploy('3.0.0', httpServer(200), { more: HTTP })).toMatchObject({ ok: true })
  expect(node.apps.status('hello')).toMatchObject({ version: '3.0.0', ports: { web: port }, health: 'healthy' })
})

test('an app that becomes unhealthy, and well again, is shown so', async () => {
  const script = `exec ${process.execPath} -e 'const fs = require("fs"); require("http").createServer((q, a) => { a.statusCode = fs.existsSync(process.env.WARREN_DATA + "/ill") ? 500 : 200; a.end() }).listen(Number(process.env.PORT), "127.0.0.1")'`
  const more = 'ports: { web: auto }\nhealth_check: { type: http, interval: 20ms, retries: 2 }\n'
  await node.deploy('1.0.0', script, { more })
  await writeFile(join(node.home, 'apps', 'hello', 'data', 'ill'), '')
  await expect.poll(() => node.apps.status('hello').health).toBe('unhealthy')
  expect(node.apps.status('hello').reason).toMatch(/answered 500$/)
  await rm(join(node.home, 'apps', 'hello', 'data', 'ill'))
  await expect.poll(() => node.apps.status('hello').health).toBe('healthy')
  expect(node.apps.status('hello').reason).toBeNull()
})

test('the same package again changes nothing; other content under the same version is refused', async () => {
  await node.deploy('1.0.0')
  const { pid } = node.apps.status('hello')
  expect(await node.deploy('1.0.0')).toEqual({ ok: true, version: '1.0.0', unchanged: true })
  expect(node.apps.status('hello').pid).toBe(pid)
  await expect(node.deploy('1.0.0', 'exec sleep 2000')).rejects.toMatchObject({ code: 'version_conflict' })
  expect(node.apps.status('hello')).toMatchObject({ pid, status: 'running' })
})

test('what cannot be deployed is refused before anything is touched', async () => {
  await node.deploy('1.0.0')
  const { pid } = node.apps.status('hello')
  const refused = async (more: string, instance = 'hello') =>
    (await node.deploy('2.0.0', STAYS_UP, { more, instance }).then(
      () => undefined,
      (error: unknown) => error,
    )) as { code: string; message: string }
  expect((await refused('scripts: { pre-start: x }\n')).code).toBe('manifest_unsupported')
  expect((await refused('platforms: [darwin-arm64]\n')).code).toBe('platform_not_supported')
  expect((await refused('', '../x')).code).toBe('invalid_value')
  await expect(
    node.apps.deploy({ instance: 'hello', digest: 'f'.repeat(64), trial: TEST_TRIAL }, { signal }),
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
  expect(node.apps.list().map(({ app }) => app)).toEqual(['hello'])
  expect(await readdir(join(node.home, 'apps'))).toEqual(['hello'])
  expect(node.apps.status('hello')).toMatchObject({ pid, status: 'running', pending: null })
  expect(() => node.apps.status('nothing')).toThrow(expect.objectContaining({ code: 'app_not_found' }))
})

test('two apps of one package run side by side, and a name belongs to one package', async () => {
  await node.deploy('1.0.0')
  await node.deploy('2.0.0', STAYS_UP, { instance: 'other' })
  expect(node.apps.list().map(({ app, version, status }) => `${app} ${version} ${status}`)).toEqual([
    'hello 1.0.0 running',
    'other 2.0.0 running',
  ])
})

test('switch and rollback change the version behind the gate, and only so many versions are kept', async () => {
  await node.reopen({ keepVersions: 3 })
  for (const version of ['1.0.0', '2.0.0', '3.0.0', '4.0.0']) await node.deploy(version)
  expect(node.apps.versions('hello').map(({ version }) => version)).toEqual(['4.0.0', '3.0.0', '2.0.0'])
  expect(await readdir(join(node.home, 'apps', 'hello', 'versions'))).toHaveLength(3)
  expect(await node.apps.rollback('hello')).toMatchObject({ version: '3.0.0', status: 'running' })
  expect(await node.apps.switchVersion('hello', '2.0.0')).toMatchObject({ version: '2.0.0', status: 'running' })
  await expect(node.apps.switchVersion('hello', '1.0.0')).rejects.toMatchObject({ code: 'version_not_found' })
  expect(node.apps.history('hello')[0]).toMatchObject({ kind: 'switch', from: '3.0.0', to: '2.0.0', ok: true })
})

test('a verb during a deploy is refused, a second deploy waits', async () => {
  await node.deploy('1.0.0')
  const second = await addTestPackage(node.home, { version: '2.0.0', script: STAYS_UP })
  let refusal: unknown
  const outcome = await node.apps.deploy(
    { instance: 'hello', digest: second, trial: TEST_TRIAL },
    { signal, onPhase: () => void node.apps.stopApp('hello').catch((error: unknown) => (refusal ??= error)) },
  )
  expect(outcome.ok).toBe(true)
  expect(refusal).toMatchObject({ code: 'app_busy' })
  await expect(
    Promise.all([
      node.deploy('3.0.0'),
      new Promise<void>((resolve) => setImmediate(resolve)).then(() => node.deploy('4.0.0')),
    ]),
  ).resolves.toMatchObject([{ ok: true }, { ok: true }])
  expect(await processesOf(node.home, 'hello')).toHaveLength(1)
})

test('remove keeps the data unless told otherwise, and leaves nothing else', async () => {
  await node.deploy('1.0.0', 'echo precious > "$WARREN_DATA/file"; exec sleep 1000')
  const kept = join(node.home, 'apps', 'hello', 'data')
  await expect.poll(() => readFile(join(kept, 'file'), 'utf8').catch(() => '')).toBe('precious\n')
  expect(await node.apps.removeApp('hello', { purge: false })).toEqual({
    node: 'burrow-1',
    app: 'hello',
    data_kept: kept,
  })
  expect(await readdir(join(node.home, 'apps', 'hello'))).toEqual(['data'])
  expect(await processesOf(node.home, 'hello')).toEqual([])
  await node.deploy('2.0.0', 'cat "$WARREN_DATA/file"; exec sleep 1000')
  await expect.poll(() => node.lines()).toEqual(['precious'])
  expect(await node.apps.removeApp('hello', { purge: true })).toMatchObject({ data_kept: null })
  expect(await readdir(join(node.home, 'apps'))).toEqual([])
  expect(await readdir(join(node.home, 'run', 'keepers'))).toEqual(['keeper-v1.sh'])
})

test('a follower of the logs goes on across deploys and restarts, and ends when the app is removed', async () => {
  await node.deploy('1.0.0')
  const seen: string[] = []
  const follower = (async () => {
    for await (const row of node.apps.logs({ instance: 'hello', follow: true, tail: 10, signal })) seen.push(row.line)
  })()
  await expect.poll(() => seen).toEqual(['version 1.0.0'])
  await node.deploy('2.0.0')
  await node.apps.restartApp('hello')
  await expect.poll(() => seen).toEqual(['version 1.0.0', 'version 2.0.0', 'version 2.0.0'])
  await node.apps.removeApp('hello', { purge: true })
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
