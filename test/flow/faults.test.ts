/** Wrong input and interruptions, with the real program: each has its own clear error, and nothing is left half done. */
import { once } from 'node:events'
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tarEnd, tarHeader, tarPadding } from '../../src/bundle/tar-write.ts'
import { appProcesses } from './app-processes.ts'
import { createTestLab, endOf, errorOf, type TestLab } from './fleet-of.ts'
import type { Command } from './warren.ts'

let lab: TestLab
const children = new Set<Command>()
beforeAll(async () => {
  lab = await createTestLab(2)
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await lab?.warren.cleanup()
})

function start(index: number, ...words: string[]): Command {
  const child = lab.warren.spawn('--home', lab.home(index), ...words)
  children.add(child)
  return child
}

/** Starts a deploy and gives it once a line of that phase came, with what it prints from then on. */
async function deployUntil(phase: string, index: number, words: readonly string[]) {
  const child = start(index, 'deploy', ...words, '--json')
  const ended = once(child, 'close') as Promise<[number | null, string | null]>
  let talk = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    talk += text
  })
  const reached = Promise.withResolvers<void>()
  createInterface(child.stdout).on('line', (line) => {
    if ((JSON.parse(line) as { phase?: string }).phase === phase) reached.resolve()
  })
  await Promise.race([
    reached.promise,
    ended.then(() => Promise.reject(new Error(`it ended before ${phase}: ${talk}`))),
  ])
  return { child, ended, talk: () => talk }
}

/** Everything in the folders of packages and store of a node, which must not grow by what is refused. */
async function stored(index: number): Promise<string[]> {
  const folders = ['packages', 'store'].map((name) => join(lab.home(index), name))
  return (await Promise.all(folders.map((folder) => readdir(folder, { recursive: true })))).flat().sort()
}

test('a bad manifest is refused with line and column of every fault', async () => {
  const folder = join(lab.warren.folder, 'bad-manifest')
  await mkdir(folder)
  const manifest = join(folder, 'manifest.yaml')
  await writeFile(manifest, 'name: Bad Name\nversion: one\nentrypoint: ../run\nprots:\n  web: auto\n')
  const refused = await lab.run(0, 'deploy', folder, '--all', '--json')
  expect(refused.code).toBe(2)
  expect(errorOf(refused)).toMatchObject({
    code: 'manifest_invalid',
    details: { faults: expect.arrayContaining([expect.objectContaining({ line: 4, column: 1 })]) },
  })
  for (const place of ['1:7', '2:10', '4:1']) expect(errorOf(refused).message).toContain(`manifest.yaml:${place}`)
  await writeFile(manifest, 'name: bad\nversion: [1\n')
  const torn = await lab.run(0, 'pack', folder, '--json')
  expect(torn.code).toBe(2)
  expect(errorOf(torn).message).toMatch(/manifest\.yaml:[23]:\d+/)
})

/** A tar entry as no honest packer makes it. */
function entry(path: string, { type = '0', link = '' } = {}): Buffer {
  const content = Buffer.from(type === '0' ? 'evil\n' : '')
  const header = tarHeader({ path, mode: 0o644, size: content.length })
  header.write(type, 156)
  header.write(link, 157)
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, content, tarPadding(content.length)])
}

const archives: { what: string; code: string; change: (tar: Buffer) => Buffer }[] = [
  { what: 'a path with ..', code: 'archive_path_refused', change: (tar) => withEntry(tar, entry('../evil')) },
  { what: 'an absolute path', code: 'archive_path_refused', change: (tar) => withEntry(tar, entry('/tmp/evil')) },
  { what: 'a device', code: 'archive_entry_refused', change: (tar) => withEntry(tar, entry('null', { type: '3' })) },
  {
    what: 'a link out of the package',
    code: 'archive_entry_refused',
    change: (tar) => withEntry(tar, entry('passwd', { type: '2', link: '/etc/passwd' })),
  },
  { what: 'a file twice', code: 'archive_duplicate', change: (tar) => withEntry(tar, entry('run')) },
  { what: 'a file too many', code: 'package_mismatch', change: (tar) => withEntry(tar, entry('zzz')) },
]
const withEntry = (tar: Buffer, more: Buffer): Buffer =>
  Buffer.concat([tar.subarray(0, tar.length - tarEnd().length), more, tarEnd()])

test('an archive that is cut short, or holds what no package holds, is refused before anything is kept', async () => {
  const good = await lab.pack('evil', '1.0.0')
  const bytes = await readFile(good)
  const bad = join(lab.warren.folder, 'evil-9.0.0.tar.gz')
  await copyFile(`${good}.sig`, `${bad}.sig`)
  const before = await stored(0)
  const refused = async (content: Uint8Array) => {
    await writeFile(bad, content)
    return lab.run(0, 'deploy', bad, '--all', '--json')
  }
  const cut = await refused(bytes.subarray(0, bytes.length - 20))
  expect({ code: cut.code, error: errorOf(cut) }).toMatchObject({ code: 2, error: { code: 'archive_damaged' } })
  for (const { what, code, change } of archives) {
    const result = await refused(gzipSync(change(gunzipSync(bytes))))
    expect({ what, exit: result.code, code: errorOf(result).code }).toEqual({ what, exit: 2, code })
  }
  expect(await stored(0)).toEqual(before)
  expect((await lab.run(0, 'deploy', good, '--on', 'burrow-1', '--json')).code).toBe(0)
  await lab.must(0, 'app', 'remove', 'evil', '--purge')
})

test('the signature of another package is refused, and said to be that', async () => {
  const one = await lab.pack('signed', '1.0.0')
  const two = await lab.pack('signed', '2.0.0')
  await copyFile(`${one}.sig`, `${two}.sig`)
  const refused = await lab.run(0, 'deploy', two, '--all', '--json')
  expect(refused.code).not.toBe(0)
  expect(errorOf(refused)).toMatchObject({
    code: 'upload_invalid',
    message: expect.stringContaining('not over signed 2.0.0'),
    hint: expect.stringContaining('warren sign'),
  })
})

test('a fixed port that another program holds is named, and the old version stays', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  try {
    await lab.must(0, 'deploy', await lab.pack('ported', '1.0.0'), '--on', 'burrow-2', '--json')
    const [before] = await appProcesses(lab.home(1), 'ported')
    const next = await lab.pack('ported', '2.0.0', { more: `ports:\n  web: ${port}\n` })
    const refused = await lab.run(0, 'deploy', next, '--on', 'burrow-2', '--json')
    expect(refused.code).toBe(1)
    expect(endOf(refused).results[0]).toMatchObject({
      ok: false,
      version: '1.0.0',
      reason: expect.stringMatching(new RegExp(`port_in_use: port ${port}.*used by another program`)),
    })
    expect(await appProcesses(lab.home(1), 'ported')).toEqual([before])
    server.close()
    await once(server, 'close')
    const again = await lab.pack('ported', '3.0.0', { more: `ports:\n  web: ${port}\n` })
    await lab.must(0, 'deploy', again, '--on', 'burrow-2', '--json')
  } finally {
    server.close()
  }
})

/** An app that is well as soon as the file is there: until then its deploy stays where it is. */
async function packWaiting(app: string, version: string): Promise<{ file: string; letGo: () => Promise<void> }> {
  const sign = join(lab.warren.folder, `${app}-${version}-is-well`)
  const more = `health_check:\n  type: command\n  command: [test, -e, ${sign}]\n`
  return { file: await lab.pack(app, version, { more }), letGo: () => writeFile(sign, '') }
}

test('Ctrl-C ends the following and says how to go on; the rollout goes on', async () => {
  const { file, letGo } = await packWaiting('left', '1.0.0')
  const { child, ended, talk } = await deployUntil('health', 0, [file, '--all'])
  child.kill('SIGINT')
  expect(await ended).toEqual([130, null])
  await letGo()
  const id = /warren rollout watch (\S+)/.exec(talk())?.[1] as string
  expect(endOf(await lab.must(0, 'rollout', 'watch', id, '--json'))).toMatchObject({ ok: true })
  for (const index of [0, 1]) expect(await lab.requireOneRuns(index, 'left')).toBe('1.0.0')
})

test('a wait that ends before the rollout exits with 6, and the rollout goes on', async () => {
  const { file, letGo } = await packWaiting('left', '2.0.0')
  const timed = await lab.run(0, 'deploy', file, '--all', '--timeout', '100ms', '--json')
  expect(timed.code).toBe(6)
  await letGo()
  const { timed_out, short } = endOf(timed)
  expect(timed_out).toBe(true)
  expect(endOf(await lab.must(0, 'rollout', 'watch', short, '--json'))).toMatchObject({ ok: true })
})

test('a daemon that is stopped in the middle of a deploy finishes it at its next start', async () => {
  const { file, letGo } = await packWaiting('left', '3.0.0')
  const { ended } = await deployUntil('health', 0, [file, '--on', 'burrow-2'])
  await lab.must(1, 'daemon', 'stop', '--json')
  expect((await appProcesses(lab.home(1), 'left')).length).toBeLessThanOrEqual(1)
  await lab.must(1, 'daemon', 'start', '--json')
  await letGo()
  expect(await ended).toEqual([0, null])
  expect(await lab.requireOneRuns(1, 'left')).toBe('3.0.0')
})

test('SIGTERM ends a daemon in order, and a second one at once; its app stays', async () => {
  await lab.must(1, 'daemon', 'stop')
  const config = join(lab.home(1), 'config.yaml')
  const usual = await readFile(config, 'utf8')
  await writeFile(config, `${usual}app:\n  stop_grace: 60s\n`)
  const run = join(lab.home(1), 'run')
  const graceful = await running(1)
  graceful.child.kill('SIGTERM')
  expect(await graceful.ended).toEqual([0, null])
  expect((await readdir(run)).filter((name) => /sock|cookie/.test(name))).toEqual([])
  expect(await appProcesses(lab.home(1), 'left')).toHaveLength(1)

  // An app that will not end holds the daemon back for the grace, so that there is a time for the second signal.
  const stubborn = await running(1)
  const script = "trap '' TERM; while :; do sleep 0.1; done"
  await lab.must(1, 'deploy', await lab.pack('stubborn', '1.0.0', { script }), '--on', 'burrow-2', '--json')
  const stopping = start(1, 'app', 'stop', 'stubborn')
  const stopped = once(stopping, 'close')
  await expect.poll(() => signalled(lab.home(1)), { interval: 20 }).toBe(true)
  stubborn.child.kill('SIGTERM')
  await expect.poll(() => readdir(run), { interval: 20 }).not.toContain('daemon.cookie')
  stubborn.child.kill('SIGTERM')
  expect(await stubborn.ended).toEqual([130, null])
  await stopped
  await writeFile(config, `${usual}app:\n  stop_grace: 200ms\n`)
  await lab.must(1, 'daemon', 'start')
  await lab.must(1, 'app', 'remove', 'stubborn', '--purge')
  expect(await appProcesses(lab.home(1), 'stubborn')).toEqual([])
  expect(await lab.requireOneRuns(1, 'left')).toBe('3.0.0')
})

/** True once `app stop` has written down that the app is to be stopped. */
async function signalled(home: string): Promise<boolean> {
  const text = await readFile(join(home, 'apps', 'stubborn', 'instance.json'), 'utf8')
  return (JSON.parse(text) as { desired: string }).desired === 'stopped'
}

/** A daemon in the foreground that answers. */
async function running(index: number): Promise<{ child: Command; ended: Promise<unknown[]> }> {
  const child = start(index, 'daemon', 'run')
  child.stderr.resume()
  const ended = once(child, 'close')
  await expect.poll(async () => (await lab.run(index, 'status', '--json')).code, { interval: 50 }).toBe(0)
  return { child, ended }
}

test('a socket left behind by a killed daemon, and a cookie that is missing or wrong, are each named', async () => {
  await lab.kill(1)
  const dead = await lab.run(1, 'status', '--json')
  expect(dead.code).toBe(6)
  expect(errorOf(dead)).toMatchObject({ code: 'daemon_not_running', hint: expect.stringContaining('daemon start') })
  await lab.must(1, 'daemon', 'start')
  const pid = await lab.pid(1)
  const cookie = join(lab.home(1), 'run', 'daemon.cookie')
  const own = await readFile(cookie)
  for (const change of [() => rm(cookie), () => copyFile(join(lab.home(0), 'run', 'daemon.cookie'), cookie)]) {
    await change()
    const refused = await lab.run(1, 'status', '--json')
    expect(refused.code).toBe(4)
    expect(errorOf(refused)).toMatchObject({ code: 'cookie_wrong', hint: expect.stringContaining(`kill ${pid}`) })
  }
  // What the hint says.
  process.kill(pid, 'SIGTERM')
  await expect.poll(() => readdir(join(lab.home(1), 'run'))).not.toContain('daemon.sock')
  await lab.must(1, 'daemon', 'start')
  expect((await lab.must(1, 'status', '--json')).code).toBe(0)
  expect(await readFile(cookie)).not.toEqual(own)
})

test('a home that is none is named, and nothing is written into it', async () => {
  const empty = join(lab.warren.folder, 'empty')
  await mkdir(empty)
  for (const words of [
    ['daemon', 'run'],
    ['daemon', 'start'],
  ]) {
    const refused = await lab.warren.run('--home', empty, ...words, '--json')
    expect(refused.code).toBe(3)
    expect(errorOf(refused)).toMatchObject({ code: 'home_not_found', hint: expect.stringContaining('warren init') })
  }
  expect(await readdir(empty)).toEqual([])
  const file = join(lab.warren.folder, 'file')
  await writeFile(file, '')
  expect(errorOf(await lab.warren.run('--home', file, 'daemon', 'start', '--json')).message).toContain(file)
})
