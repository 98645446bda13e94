import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { WarrenError } from '../base/errors.ts'
import type { ConfigFault } from './errors.ts'
import {
  defineSection,
  durationField,
  loadConfig,
  loggingSection,
  pathField,
  sizeField,
  storageSection,
} from './index.ts'

const netSection = defineSection({
  name: 'net',
  description: 'Connections.',
  schema: z
    .strictObject({
      listen: z.array(z.string()).default(['/ip4/0.0.0.0/tcp/0']).describe('Addresses.'),
      dial_timeout: durationField('10s').describe('Longest wait.'),
      max_message: sizeField('4MB').describe('Longest message.'),
      max_peers: z.int().min(1).max(1000).default(100).describe('Most peers.'),
      mdns: z.strictObject({ enabled: z.boolean().default(true).describe('Look for nodes nearby.') }).prefault({}),
      quic: z.boolean().default(false).describe('QUIC.'),
      gate: z.enum(['key', 'roster']).default('key').describe('Who may connect.'),
      allow: z.array(pathField('x')).default([]).describe('Files.'),
    })
    .refine(({ quic, gate }) => !quic || gate === 'roster', { path: ['quic'], error: 'needs gate: roster' })
    .prefault({}),
})
const sections = [loggingSection, storageSection, netSection] as const

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function home(text?: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'config-'))
  folders.push(folder)
  if (text !== undefined) await writeFile(join(folder, 'config.yaml'), text)
  return folder
}

async function faultsOf(work: Promise<unknown>): Promise<ConfigFault[]> {
  const error = await work.then(
    () => expect.unreachable('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(WarrenError)
  expect((error as WarrenError).code).toBe('config_invalid')
  return (error as WarrenError).details?.faults as ConfigFault[]
}

test('without a file every value is the default, parsed', async () => {
  const folder = await home()
  const { values, file, origins, settings } = await loadConfig({ sections, home: folder, env: {} })
  expect(file).toBeUndefined()
  expect(values.logging).toEqual({ level: 'info', format: 'console' })
  expect(values.storage).toEqual({ data_dir: folder, keys_dir: join(folder, 'keys') })
  expect(values.net).toMatchObject({ dial_timeout: 10_000, max_message: 4_000_000, mdns: { enabled: true } })
  expect(new Set(Object.values(origins))).toEqual(new Set(['default']))
  expect(settings['net.dial_timeout']).toBe('10s')
})

test('options win over environment over file over defaults, key by key', async () => {
  const folder = await home(
    'version: 1\nlogging:\n  level: warn\n  format: json\nnet:\n  max_peers: 5\n  dial_timeout: 1m30s\n',
  )
  const { values, origins } = await loadConfig({
    sections,
    home: folder,
    env: { WARREN_LOGGING_LEVEL: 'error', WARREN_NET_MAX_PEERS: '6', WARREN_NET_MDNS_ENABLED: 'false' },
    flags: { 'net.max_peers': 7, 'net.dial_timeout': undefined },
  })
  expect(values.logging).toEqual({ level: 'error', format: 'json' })
  expect(values.net).toMatchObject({ max_peers: 7, dial_timeout: 90_000, mdns: { enabled: false } })
  expect(origins).toMatchObject({
    'logging.level': 'environment',
    'logging.format': 'file',
    'net.max_peers': 'flag',
    'net.dial_timeout': 'file',
    'net.listen': 'default',
    'net.mdns.enabled': 'environment',
  })
})

test('lists come from the environment with commas or as JSON', async () => {
  const folder = await home()
  const listen = async (text: string) =>
    (await loadConfig({ sections, home: folder, env: { WARREN_NET_LISTEN: text } })).values.net.listen
  expect(await listen('/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2')).toEqual([
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/127.0.0.1/tcp/2',
  ])
  expect(await listen('["a,b"]')).toEqual(['a,b'])
  expect(await listen('')).toEqual([])
})

test('a relative path is relative to what it was written in', async () => {
  const folder = await home('version: 1\nstorage:\n  data_dir: state\n  keys_dir: ~/k\nnet:\n  allow: [a, /b]\n')
  const fromFile = await loadConfig({
    sections,
    home: '/elsewhere',
    file: join(folder, 'config.yaml'),
    env: { HOME: homedir() },
  })
  expect(fromFile.values.storage).toEqual({ data_dir: join(folder, 'state'), keys_dir: join(homedir(), 'k') })
  expect(fromFile.values.net.allow).toEqual([join(folder, 'a'), '/b'])
  const cwd = await home()
  const env = { WARREN_STORAGE_DATA_DIR: 'state' }
  expect((await loadConfig({ sections, home: folder, env, cwd })).values.storage.data_dir).toBe(join(cwd, 'state'))
})

test('unknown keys and wrong values are named with line and column, all at once', async () => {
  const folder = await home(
    'version: 1\nlogging:\n  levl: info\nnet:\n  dial_timeout: 10\n  max_message: 4\n  max_peers: "9"\n',
  )
  const file = join(folder, 'config.yaml')
  const faults = await faultsOf(loadConfig({ sections, home: folder, env: {} }))
  expect(faults.map(({ place, key }) => `${place} ${key}`)).toEqual([
    `${file}:3:3 logging.levl`,
    `${file}:5:17 net.dial_timeout`,
    `${file}:6:16 net.max_message`,
    `${file}:7:14 net.max_peers`,
  ])
  expect(faults[0]?.message).toContain('did you mean level?')
  expect(faults[1]?.message).toContain('10m')
})

test('a wrong value in the file is refused although the environment overrides it', async () => {
  const folder = await home('version: 1\nlogging:\n  level: loud\n')
  const faults = await faultsOf(loadConfig({ sections, home: folder, env: { WARREN_LOGGING_LEVEL: 'info' } }))
  expect(faults[0]?.place).toMatch(/:3:10$/)
})

test('a wrong variable is named, as is a wrong option', async () => {
  const folder = await home()
  const env = { WARREN_NET_MAX_PEERS: 'many', WARREN_NET_DIAL_TIMEOUT: '5' }
  const faults = await faultsOf(loadConfig({ sections, home: folder, env, flags: { 'logging.level': 'loud' } }))
  expect(faults.map(({ place }) => place).sort()).toEqual(['WARREN_NET_DIAL_TIMEOUT', 'WARREN_NET_MAX_PEERS', 'option'])
})

test('a rule between keys from different places names the place of the key', async () => {
  const folder = await home('version: 1\nnet:\n  quic: true\n  gate: roster\n')
  expect((await loadConfig({ sections, home: folder, env: {} })).values.net.quic).toBe(true)
  const broken = await faultsOf(loadConfig({ sections, home: folder, env: { WARREN_NET_GATE: 'key' } }))
  expect(broken).toEqual([
    { place: `${join(folder, 'config.yaml')}:3:9`, key: 'net.quic', message: 'needs gate: roster' },
  ])
  const bare = await home()
  const byVariable = await faultsOf(loadConfig({ sections, home: bare, env: { WARREN_NET_QUIC: 'true' } }))
  expect(byVariable[0]?.place).toBe('WARREN_NET_QUIC')
})

test('an option for a key that is none is refused with the nearest name', async () => {
  const folder = await home()
  await expect(loadConfig({ sections, home: folder, env: {}, flags: { 'logging.levle': 'x' } })).rejects.toMatchObject({
    code: 'config_key_unknown',
    message: expect.stringContaining('did you mean logging.level?'),
  })
})

test('a variable that looks like a key and is none is a warning', async () => {
  const folder = await home()
  const { warnings } = await loadConfig({ sections, home: folder, env: { WARREN_NET_LISTN: 'x', WARREN_HOME: folder } })
  expect(warnings).toEqual(['the variable WARREN_NET_LISTN is set, but no key of the config has that name'])
})

test('the file named must exist; the system file counts for the system home only', async () => {
  const folder = await home()
  const system = { home: folder, file: join(folder, 'etc', 'config.yaml') }
  await mkdir(dirname(system.file))
  await writeFile(system.file, 'version: 1\nlogging:\n  level: debug\n')
  expect((await loadConfig({ sections, home: folder, env: {}, system })).values.logging.level).toBe('debug')
  expect((await loadConfig({ sections, home: await home(), env: {}, system })).values.logging.level).toBe('info')
  await writeFile(join(folder, 'config.yaml'), 'version: 1\n')
  expect((await loadConfig({ sections, home: folder, env: {}, system })).file).toBe(join(folder, 'config.yaml'))
  await expect(loadConfig({ sections, home: folder, file: '/nowhere.yaml', env: {} })).rejects.toMatchObject({
    code: 'config_not_found',
  })
})

test.each([
  ['no version', 'logging:\n  level: info\n', /version: must be 1/],
  ['a version that is no number', 'version: one\n', /:1:10 {2}version: must be 1/],
  ['a section twice', 'version: 1\nnet:\nnet:\n', /second time/],
  ['broken YAML', 'version: 1\nnet: [1\n', /:\d+:\d+/],
  ['a section that is no map', 'version: 1\nnet: 5\n', /net: must be a map/],
  ['an unknown section', 'version: 1\nnett:\n  a: 1\n', /nett: .*did you mean net\?/],
  ['bytes that are no text', Buffer.from([0x76, 0xff, 0xfe]), /not UTF-8/],
  ['a file of megabytes', `version: 1\n${'#'.repeat(300_000)}\n`, /longer than/],
])('%s is refused', async (_what, text, message) => {
  const folder = await home(text)
  await expect(loadConfig({ sections, home: folder, env: {} })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(message),
  })
})

test('a folder in place of the file is refused', async () => {
  const folder = await home()
  await mkdir(join(folder, 'config.yaml'))
  await expect(loadConfig({ sections, home: folder, env: {} })).rejects.toMatchObject({ code: 'config_invalid' })
})

test('an empty file and section headers without keys mean the defaults', async () => {
  for (const text of ['', '# nothing\n', 'version: 1\nlogging:\nnet:\n  # listen: []\n']) {
    const { values } = await loadConfig({ sections, home: await home(text), env: {} })
    expect(values.logging.level).toBe('info')
  }
})

test('an older version is migrated in memory, with a warning, and its comments stay', async () => {
  const folder = await home('# mine\nversion: 0\nlog: debug # loud\n')
  const migrations = [
    {
      from: 0,
      summary: 'log became logging.level',
      migrate(document: import('yaml').Document) {
        document.set('logging', document.createNode({ level: document.get('log') }))
        document.delete('log')
      },
    },
  ]
  const { values, warnings } = await loadConfig({ sections, home: folder, env: {}, migrations })
  expect(values.logging.level).toBe('debug')
  expect(warnings).toEqual([`${join(folder, 'config.yaml')} is of version 0: log became logging.level`])
})

test('a newer version is refused by name, and so is an old one that no step starts from', async () => {
  for (const version of [0, 2]) {
    const folder = await home(`version: ${version}\n`)
    await expect(loadConfig({ sections, home: folder, env: {} })).rejects.toMatchObject({
      code: 'config_version_unknown',
      message: expect.stringContaining(`version ${version}`),
    })
  }
})
