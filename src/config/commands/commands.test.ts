import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { runWords } from '../../command/index.ts'
import { defineSection, loggingSection, secretField, storageSection } from '../index.ts'
import { configCommands } from './index.ts'

const netSection = defineSection({
  name: 'net',
  description: 'Connections.',
  schema: z
    .strictObject({
      listen: z.array(z.string()).default(['/ip4/0.0.0.0/tcp/0']).describe('Addresses.'),
      network_key: secretField(/^[0-9a-f]{4}$/, 'must be 4 hex digits').describe('A secret.'),
    })
    .prefault({}),
})
const entries = configCommands(async () => [loggingSection, storageSection, netSection])

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function createHome(text?: string) {
  const home = await mkdtemp(join(tmpdir(), 'config-'))
  folders.push(home)
  const file = join(home, 'config.yaml')
  if (text !== undefined) await writeFile(file, text, { mode: 0o640 })
  const run = async (words: readonly string[], env: Record<string, string> = {}) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()]
    const code = await runWords(
      {
        entries,
        version: '0',
        program: [],
        env: { PATH: process.env.PATH, WARREN_HOME: home, ...env },
        cwd: home,
        stdin: new PassThrough(),
        stdout,
        stderr,
        signal: new AbortController().signal,
      },
      words,
    )
    const read = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? ''
    return { code, out: read(stdout), err: read(stderr) }
  }
  const json = async (words: readonly string[], env?: Record<string, string>) =>
    JSON.parse((await run([...words, '--json'], env)).out)
  /** An editor that leaves this text behind. */
  const editor = async (script: string): Promise<Record<string, string>> => {
    const path = join(home, 'an editor')
    await writeFile(path, `#!/bin/sh\n${script}\n`)
    await chmod(path, 0o755)
    return { VISUAL: `'${path}'` }
  }
  return { home, file, run, json, editor }
}

test('show gives every key, and with --origins where it comes from', async () => {
  const { file, run, json } = await createHome('version: 1\nlogging:\n  level: warn\n')
  const env = { WARREN_LOGGING_FORMAT: 'json' }
  expect(await json(['config', 'show', '--origins'], env)).toMatchObject({
    file,
    config: { logging: { level: 'warn', format: 'json' }, net: { listen: ['/ip4/0.0.0.0/tcp/0'] } },
    origins: { 'logging.level': 'file', 'logging.format': 'environment', 'net.listen': 'default' },
  })
  const { out, code } = await run(['config', 'show', '--origins'], env)
  expect(code).toBe(0)
  expect(out).toMatch(/^logging.format +json +WARREN_LOGGING_FORMAT$/m)
})

test('a secret is never shown, neither when it is right nor when it is wrong', async () => {
  const { run } = await createHome('version: 1\nnet:\n  network_key: beef\n')
  const shown = [
    await run(['config', 'show', '--json']),
    await run(['config', 'show']),
    await run(['config', 'get', 'net']),
  ]
  for (const { out, err } of shown) {
    expect(out).toContain('[secret]')
    expect(out + err).not.toContain('beef')
  }
  const wrong = await run(['config', 'validate'], { WARREN_NET_NETWORK_KEY: 'beefburger' })
  const bad = await run(['config', 'show'], { WARREN_NET_NETWORK_KEY: 'beefburger' })
  expect(bad.err).toContain('4 hex digits')
  expect(wrong.err + wrong.out + bad.err + bad.out).not.toContain('beefburger')
})

test('get gives one value, or a section', async () => {
  const { home, run, json } = await createHome()
  expect((await run(['config', 'get', 'logging.level'])).out).toBe('info\n')
  expect(await json(['config', 'get', 'storage.keys_dir'])).toEqual({
    key: 'storage.keys_dir',
    value: join(home, 'keys'),
    origin: 'default',
  })
  expect(await json(['config', 'get', 'logging'])).toEqual({
    key: 'logging',
    value: { level: 'info', format: 'console' },
  })
  const unknown = await run(['config', 'get', 'loging.level'])
  expect(unknown.code).toBe(3)
  expect(unknown.err).toContain('did you mean logging.level?')
})

test('set makes the commented file where there is none, then changes it; reset takes the value out', async () => {
  const { file, run, json } = await createHome()
  expect((await run(['config', 'set', 'logging.level', 'debug'])).out).toBe('logging.level: debug\n')
  expect(await json(['config', 'set', 'net.listen', '/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2'])).toMatchObject({
    file,
  })
  const text = await readFile(file, 'utf8')
  expect(text).toContain('  # level: info\n  level: debug\n')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await json(['config', 'show'])).config.net.listen).toHaveLength(2)
  expect(await json(['config', 'reset', 'logging.level'])).toEqual({
    file,
    key: 'logging.level',
    value: 'info',
    changed: true,
  })
  expect(await json(['config', 'reset', 'logging.level'])).toMatchObject({ changed: false })
  expect(await readFile(file, 'utf8')).toBe(text.replace('  level: debug\n', ''))
})

test('set of a wrong value or an unknown key changes nothing', async () => {
  const { file, run } = await createHome('version: 1\n')
  const wrong = await run(['config', 'set', 'logging.level', 'loud', '--json'])
  expect(wrong.code).toBe(2)
  expect(JSON.parse(wrong.out).error).toMatchObject({
    code: 'config_invalid',
    details: { faults: [{ key: 'logging.level' }] },
  })
  expect((await run(['config', 'set', 'logging.levle', 'info'])).code).toBe(3)
  expect(await readFile(file, 'utf8')).toBe('version: 1\n')
})

test('set keeps the mode of the file, refuses a file that is faulty already, and says when a variable wins', async () => {
  const { file, run } = await createHome('version: 1\n')
  const { err } = await run(['config', 'set', 'logging.level', 'warn'], { WARREN_LOGGING_LEVEL: 'info' })
  expect(err).toContain('WARREN_LOGGING_LEVEL is set')
  expect((await stat(file)).mode & 0o777).toBe(0o640)
  await writeFile(file, 'version: 1\nnett: {}\n')
  expect((await run(['config', 'set', 'logging.level', 'info'])).err).toContain(`${file}:2:1`)
  expect(await readFile(file, 'utf8')).toBe('version: 1\nnett: {}\n')
})

test('--config picks the file', async () => {
  const { home, run, json } = await createHome()
  const other = join(home, 'other.yaml')
  await writeFile(other, 'version: 1\n')
  await run(['config', 'set', 'logging.level', 'error', '--config', 'other.yaml'])
  expect(await readFile(other, 'utf8')).toContain('level: error')
  expect(await json(['config', 'get', 'logging.level', '-c', other])).toMatchObject({ value: 'error', origin: 'file' })
  expect((await run(['config', 'show', '-c', 'nowhere.yaml'])).code).toBe(3)
})

test('edit replaces the file by what the editor left', async () => {
  const { home, file, run, editor } = await createHome()
  const env = await editor(
    'grep -q "# level: info" "$1" && printf "version: 1\\nlogging:\\n  level: warn # mine\\n" > "$1"',
  )
  expect(await run(['config', 'edit'], env)).toMatchObject({ code: 0, out: `${file} changed\n` })
  expect(await readFile(file, 'utf8')).toBe('version: 1\nlogging:\n  level: warn # mine\n')
  expect((await readdir(home)).sort()).toEqual(['an editor', 'config.yaml'])
  expect(await run(['config', 'edit'], await editor('true'))).toMatchObject({ code: 0, out: 'nothing changed\n' })
})

test('edit keeps a faulty text beside the file, names the faults, and leaves the file', async () => {
  const { file, run, editor } = await createHome('version: 1\n')
  const result = await run(['config', 'edit'], await editor('echo "logging: { level: loud }" >> "$1"'))
  expect(result.code).toBe(2)
  expect(result.err).toContain(`${file}:2:19`)
  expect(result.err).toContain(`warren config validate ${file}.rejected`)
  expect(await readFile(file, 'utf8')).toBe('version: 1\n')
  expect(await readFile(`${file}.rejected`, 'utf8')).toBe('version: 1\nlogging: { level: loud }\n')
})

test('edit does not undo what another did meanwhile', async () => {
  const { file, run, editor } = await createHome('version: 1\n')
  const env = await editor(`echo "logging: { level: warn }" > '${file}'; printf 'version: 1\\n# mine\\n' > "$1"`)
  const result = await run(['config', 'edit'], env)
  expect(result).toMatchObject({ code: 5, err: expect.stringContaining('config_changed') })
  expect(await readFile(file, 'utf8')).toBe('logging: { level: warn }\n')
  expect(await readFile(`${file}.rejected`, 'utf8')).toBe('version: 1\n# mine\n')
})

test('an editor that fails or is not there changes nothing', async () => {
  const { home, run, editor } = await createHome()
  const failed = await run(['config', 'edit'], await editor('echo x > "$1"; exit 3'))
  expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('ended with exit code 3') })
  const missing = await run(['config', 'edit'], { EDITOR: 'no-such-editor-here' })
  expect(missing.err).toContain('was not found')
  expect(await readdir(home)).toEqual(['an editor'])
})

test('validate checks what a daemon would read, or a file', async () => {
  const { home, file, run, json } = await createHome('version: 1\n')
  expect(await json(['config', 'validate'])).toEqual({ file, valid: true, warnings: [] })
  expect((await run(['config', 'validate'], { WARREN_LOGGING_LEVEL: 'loud' })).err).toContain(
    'WARREN_LOGGING_LEVEL  logging.level',
  )
  await writeFile(join(home, 'new.yaml'), 'version: 1\nlogging:\n  levl: info\n')
  const result = await run(['config', 'validate', 'new.yaml'])
  expect(result).toMatchObject({ code: 2, out: '' })
  expect(result.err).toContain('new.yaml:3:3  logging.levl: not a known key; did you mean level?')
  expect((await run(['config', 'validate', 'nowhere.yaml'])).code).toBe(3)
})

test('the config of another node is refused', async () => {
  const { run } = await createHome()
  for (const words of [['show'], ['get', 'logging'], ['set', 'logging.level', 'info'], ['edit'], ['validate']]) {
    expect(await run(['config', ...words, '--node', 'pi'])).toMatchObject({ code: 7, out: '' })
  }
})
