/** Damaged files and full disks, with the real program: named, set aside, never silently replaced, and all else goes on. */
import { execFile } from 'node:child_process'
import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noise } from '../../src/transfer/fixtures/nodes.ts'
import { appProcesses } from './app-processes.ts'
import { createTestLab, endOf, errorOf, type TestLab } from './fleet-of.ts'

const execute = promisify(execFile)
const MIB = 1024 * 1024

let lab: TestLab
const mounts: string[] = []
beforeAll(async () => {
  // The versions are all good.
  lab = await createTestLab(2, 'deploy:\n  min_healthy_time: 100ms\n')
  await lab.must(0, 'deploy', await lab.pack('steady', '1.0.0'), '--all', '--json')
  await lab.must(0, 'deploy', await lab.pack('hurt', '1.0.0'), '--on', 'burrow-2', '--json')
})
afterAll(async () => {
  // A folder on a disk of its own cannot be deleted; what is below it has its daemon, but no apps.
  if (mounts.length > 0) await lab.run(1, 'daemon', 'stop', '--apps')
  for (const path of mounts) await execute('umount', [path])
  await lab?.warren.cleanup()
})

const at = (...path: string[]) => join(lab.home(1), ...path)
const logOf = async () => readFile(at('daemon.log'), 'utf8')
const setAsideIn = async (folder: string, name: string) =>
  (await readdir(folder)).filter((file) => file.startsWith(`${name}.damaged-`))

/** The daemon is killed, something happens to its home, and the next one is started. */
async function damaged(change: () => Promise<unknown>) {
  await lab.kill(1)
  await writeFile(at('daemon.log'), '')
  await change()
  return lab.run(1, 'daemon', 'start', '--json')
}

async function firstOf(folder: string): Promise<string> {
  const [name] = (await readdir(at(folder))).filter((entry) => /^[0-9a-f]{64}$/.test(entry)).sort()
  return at(folder, name as string)
}

test.each([
  { what: 'truncated', damage: (path: string) => truncate(path, 60) },
  { what: 'garbage', damage: (path: string) => writeFile(path, 'gar\nbage') },
  { what: 'of a newer release', damage: (path: string) => writeFile(path, '{"format":2}') },
])(
  'a state of an app that is $what is set aside and named, the others go on, and a deploy mends it',
  async ({ damage }) => {
    const before = await appProcesses(lab.home(1), 'steady')
    const kept = (await setAsideIn(at('apps', 'hurt'), 'instance.json')).length
    expect((await damaged(() => damage(at('apps', 'hurt', 'instance.json')))).code).toBe(0)
    const { problems, apps } = (await lab.must(1, 'status', '--json')).json<{ problems: string[]; apps: number }>()
    expect(problems).toEqual([
      expect.stringMatching(/^hurt: its instance\.json is damaged .*set aside as .*deploy the app/s),
    ])
    expect(apps).toBe(1)
    expect(await setAsideIn(at('apps', 'hurt'), 'instance.json')).toHaveLength(kept + 1)
    await expect.poll(logOf).toContain('set aside as')
    expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)
    // The next step that the problem names.
    const package_ = await lab.pack('hurt', '1.0.0')
    await lab.must(0, 'deploy', package_, '--on', 'burrow-2', '--json')
    expect(await lab.requireOneRuns(1, 'hurt')).toBe('1.0.0')
    expect((await lab.must(1, 'status', '--json')).json<{ problems: string[] }>().problems).toEqual([])
  },
)

const survivable: { what: string; damage: () => Promise<unknown>; says: RegExp; aside: () => Promise<string[]> }[] = [
  {
    what: 'an index database of noise',
    damage: async () => {
      // Its log would mend it.
      await rm(at('state.db-wal'), { force: true })
      await writeFile(at('state.db'), noise('state', 8192))
    },
    says: /index was unreadable.*state\.db\.damaged-/,
    aside: () => setAsideIn(at(), 'state.db'),
  },
  {
    what: 'a roster with a torn end',
    damage: () => appendFile(at('roster', 'log'), '0123abcd {"payl'),
    says: /unfinished line at the end of the roster is ignored/,
    aside: async () => ['nothing'],
  },
  {
    what: 'a rollout that is no envelope',
    damage: async () => writeFile(join(await firstOf('rollouts'), 'document.json'), '{'),
    says: /damaged rollout file set aside/,
    aside: async () => setAsideIn(await firstOf('rollouts'), 'document.json'),
  },
  {
    what: 'a record of a package that is another',
    damage: async () => writeFile(join(await firstOf('packages'), 'record.json'), '{}'),
    says: /damaged package set aside/,
    aside: async () => (await readdir(at('packages'))).filter((name) => name.includes('.damaged-')),
  },
]

test.each(survivable)('$what is set aside and named in the log; the apps go on and can be deployed', async (fault) => {
  const before = await appProcesses(lab.home(1), 'steady')
  expect((await damaged(fault.damage)).code).toBe(0)
  expect(await logOf()).toMatch(fault.says)
  expect(await fault.aside()).not.toEqual([])
  expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)
  await lab.must(0, 'deploy', await lab.pack('steady', '1.0.0'), '--all', '--json')
  expect(await lab.requireOneRuns(1, 'steady')).toBe('1.0.0')
})

const fatal: {
  what: string
  path: string[]
  damage: (path: string) => Promise<unknown>
  error: object
  exit: number
}[] = [
  {
    what: 'a roster that is damaged in the middle',
    path: ['roster', 'log'],
    damage: async (path) => {
      const bytes = await readFile(path)
      bytes[200] = (bytes[200] as number) ^ 1
      await writeFile(path, bytes)
    },
    error: {
      code: 'roster_damaged',
      message: expect.stringContaining('moved to'),
      hint: expect.stringContaining('from another node'),
    },
    exit: 1,
  },
  {
    what: 'a roster that is gone',
    path: ['roster', 'log'],
    damage: (path) => rm(path),
    error: { code: 'roster_missing', hint: expect.stringContaining('from another node') },
    exit: 3,
  },
  {
    what: 'a key that others can read',
    path: ['keys', 'node.key'],
    damage: (path) => chmod(path, 0o644),
    error: { code: 'key_permissions', hint: expect.stringMatching(/^chmod 600 .*node\.key$/) },
    exit: 4,
  },
  {
    what: 'a key that is none',
    path: ['keys', 'node.key'],
    damage: (path) => writeFile(path, 'x'),
    error: { code: 'key_invalid', hint: expect.stringContaining('backup') },
    exit: 2,
  },
  {
    what: 'a network key that is gone',
    path: ['keys', 'network.key'],
    damage: (path) => rm(path),
    error: { code: 'network_key_missing', hint: expect.stringContaining('from another node') },
    exit: 3,
  },
  {
    what: 'a config with wrong keys and values',
    path: ['config.yaml'],
    damage: (path) => writeFile(path, 'version: 1\nnet:\n  listne: []\n  mdns: perhaps\n'),
    error: {
      code: 'config_invalid',
      message: expect.stringMatching(/config\.yaml:3:3 .*listne[\s\S]*config\.yaml:4:9 .*mdns/),
      hint: expect.stringContaining('warren config validate'),
    },
    exit: 2,
  },
  {
    what: 'a config that is no YAML',
    path: ['config.yaml'],
    damage: (path) => writeFile(path, 'net: [\n'),
    error: { code: 'config_invalid', message: expect.stringMatching(/config\.yaml:\d+:\d+/) },
    exit: 2,
  },
]

test.each(fatal)(
  '$what keeps the daemon from starting, with the reason and what to do; the apps go on',
  async (fault) => {
    const path = at(...fault.path)
    const copy = join(lab.warren.folder, 'copy')
    await copyFile(path, copy)
    await chmod(copy, 0o600)
    const before = await appProcesses(lab.home(1), 'steady')
    const refused = await damaged(() => fault.damage(path))
    expect({ exit: refused.code, error: errorOf(refused) }).toMatchObject({ exit: fault.exit, error: fault.error })
    // The log tells the same, to those who were not there.
    await expect.poll(logOf).toContain(errorOf(refused).code)
    expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)
    await copyFile(copy, path)
    await chmod(path, 0o600)
    await lab.must(1, 'daemon', 'start', '--json')
    expect(await lab.requireOneRuns(1, 'steady')).toBe('1.0.0')
    expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)
  },
)

/** The home of the second node on a small disk of its own; false where this user may not make one. */
async function moveToSmallDisk(sizeMiB: number): Promise<boolean> {
  const aside = join(lab.warren.folder, 'aside')
  await lab.must(1, 'daemon', 'stop', '--apps')
  await cp(lab.home(1), aside, { recursive: true, preserveTimestamps: true })
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=700`, 'tmpfs', lab.home(1)])
  } catch {
    await lab.must(1, 'daemon', 'start')
    return false
  }
  mounts.push(lab.home(1))
  await execute('cp', ['-a', `${aside}/.`, lab.home(1)])
  return true
}

/** Takes the space but for so many bytes, until the file is removed. */
async function fillDisk(path: string, leaveBytes: number): Promise<void> {
  await execute('dd', ['if=/dev/zero', `of=${path}`, 'bs=64k']).catch(() => undefined)
  const { size } = await stat(path)
  await truncate(path, Math.max(0, size - leaveBytes))
}

const DISK_FULL = {
  code: 'disk_full',
  message: expect.stringContaining('burrow-2'),
  hint: expect.stringContaining('Free some space'),
}

test('a full disk stops a deploy there, keeps the old version and nothing half-written, and goes on with space', async (context) => {
  if (!(await moveToSmallDisk(32))) return context.skip('mounting a small tmpfs needs root')
  await lab.must(1, 'daemon', 'start')
  await lab.must(1, 'app', 'start', 'steady')
  await lab.must(1, 'app', 'start', 'hurt')
  const before = await appProcesses(lab.home(1), 'steady')
  expect(before).toHaveLength(1)
  const filler = at('filler')
  await fillDisk(filler, 2 * MIB)

  const big = await lab.pack('steady', '2.0.0', { files: { 'big.bin': noise('big', 8 * MIB) } })
  const words = ['deploy', big, '--on', 'burrow-2', '--retries', '0', '--json']
  const full = await lab.run(0, ...words)
  expect(full.code).toBe(1)
  expect(endOf(full).results).toMatchObject([
    { node: 'burrow-2', ok: false, version: '1.0.0', reason: expect.stringContaining('disk_full') },
  ])
  expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)
  const upload = await lab.run(1, ...words)
  expect({ exit: upload.code, error: errorOf(upload) }).toMatchObject({ exit: 8, error: DISK_FULL })
  const names = (await readdir(lab.home(1), { recursive: true })).filter((name) => /\.tmp$|\/\.(new|old)-/.test(name))
  expect(names).toEqual([])

  // Not one byte left: what runs goes on, what cannot be done says so, a daemon says why it does not start.
  await rm(filler)
  await fillDisk(filler, 0)
  const refused = await lab.run(1, 'app', 'stop', 'hurt', '--json')
  expect({ exit: refused.code, error: errorOf(refused) }).toMatchObject({ exit: 8, error: DISK_FULL })
  await lab.kill(1)
  const start = await lab.run(1, 'daemon', 'start', '--json')
  expect({ exit: start.code, error: errorOf(start) }).toMatchObject({ exit: 8, error: DISK_FULL })
  expect(errorOf(await lab.run(1, 'status', '--json')).code).toBe('daemon_not_running')
  expect(await appProcesses(lab.home(1), 'steady')).toEqual(before)

  await rm(filler)
  await lab.must(1, 'daemon', 'start', '--json')
  expect(await lab.requireOneRuns(1, 'hurt')).toBe('1.0.0')
  const again = await lab.must(0, ...words)
  expect(endOf(again)).toMatchObject({ ok: true })
  expect(await lab.requireOneRuns(1, 'steady')).toBe('2.0.0')
})

test('a home on a file system that is read-only is named as such', async (context) => {
  const folder = join(lab.warren.folder, 'read-only')
  await mkdir(folder)
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=700', 'tmpfs', folder])
  } catch {
    return context.skip('mounting needs root')
  }
  mounts.push(folder)
  await lab.warren.must('--home', join(folder, 'home'), 'init', '--name', 'other')
  await execute('mount', ['-o', 'remount,ro', folder])
  for (const verb of ['start', 'run']) {
    const refused = await lab.warren.run('--home', join(folder, 'home'), 'daemon', verb, '--json')
    expect(refused.code).toBe(4)
    expect(errorOf(refused)).toMatchObject({ code: 'permission_denied', hint: expect.stringContaining('read-only') })
  }
})
