import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Document } from 'yaml'
import { changeConfig, openConfig, writeConfig } from './change.ts'
import { setConfigValue } from './edit.ts'
import { loggingSection } from './index.ts'

const sections = [loggingSection]
/** A planted older version. */
const migrations = [
  {
    from: 0,
    summary: 'log became logging.level',
    migrate(document: Document) {
      document.set('logging', document.createNode({ level: document.get('log') }))
      document.delete('log')
    },
  },
]

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function createHome(): Promise<{ home: string; file: string }> {
  const home = await mkdtemp(join(tmpdir(), 'config-'))
  folders.push(home)
  return { home, file: join(home, 'config.yaml') }
}

test('a change to a file of an older version writes the new form and keeps a copy of the old', async () => {
  const { home, file } = await createHome()
  const old = '# mine\nversion: 0 # first\nlog: debug\n'
  await writeFile(file, old)
  await changeConfig({ home, sections, migrations }, (text) => setConfigValue(text, ['logging', 'format'], 'json'))
  expect(await readFile(file, 'utf8')).toBe('# mine\nversion: 1 # first\nlogging:\n  level: debug\n  format: json\n')
  expect(await readFile(`${file}.v0`, 'utf8')).toBe(old)
  expect((await readdir(home)).sort()).toEqual(['config.yaml', 'config.yaml.v0'])
})

test('a link to the file stays a link', async () => {
  const { home, file } = await createHome()
  await writeFile(join(home, 'real.yaml'), 'version: 1\n')
  await symlink('real.yaml', file)
  await changeConfig({ home, sections }, (text) => setConfigValue(text, ['logging', 'level'], 'warn'))
  expect((await lstat(file)).isSymbolicLink()).toBe(true)
  expect(await readFile(join(home, 'real.yaml'), 'utf8')).toContain('level: warn')
})

test('a file that appeared, changed or went away since the draft is not overwritten', async () => {
  const { home, file } = await createHome()
  const draft = await openConfig({ home, sections })
  await writeFile(file, 'version: 1\n')
  await expect(writeConfig(draft, draft.text)).rejects.toMatchObject({ code: 'config_changed' })
  const second = await openConfig({ home, sections })
  await rm(file)
  await expect(writeConfig(second, second.text)).rejects.toMatchObject({ code: 'config_changed' })
  expect(await readdir(home)).toEqual([])
})

test('a text that is cyclic or faulty is refused before it is changed', async () => {
  const { home, file } = await createHome()
  for (const text of ['version: 1\nlogging: &a\n  level: *a\n', 'version: 1\nlogging: [\n']) {
    await writeFile(file, text)
    await expect(changeConfig({ home, sections }, () => expect.unreachable())).rejects.toMatchObject({
      code: 'config_invalid',
    })
    expect(await readFile(file, 'utf8')).toBe(text)
  }
})
