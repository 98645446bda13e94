import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig, storageSection } from '../config/index.ts'
import { findHomeFolders, foldersOf } from './home-folders.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-home-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

test('without a config the folders are those of the home', async () => {
  expect(await findHomeFolders({ home, env: {}, cwd: '/' })).toEqual(foldersOf(home))
})

test.each([
  ['storage:\n  keys_dir: secrets\n', {}],
  ['storage:\n  keys_dir: /etc/keys\n  data_dir: ../state\n', {}],
  ['storage:\n  keys_dir: ~/k\n', { HOME: '/home/alice' }],
  ['storage:\n', {}],
  ['storage: {}\n', {}],
  ['storage:\n  keys_dir: secrets\n', { WARREN_STORAGE_KEYS_DIR: 'other' }],
  ['storage:\n  keys_dir: secrets\n', { WARREN_STORAGE_KEYS_DIR: '~/other', HOME: '/home/alice' }],
  ['', { WARREN_STORAGE_DATA_DIR: '/var/state' }],
])('with the config %j and the environment %j they are where the daemon looks', async (text, env) => {
  await writeFile(join(home, 'config.yaml'), `version: 1\n${text}`)
  const cwd = join(home, 'work')
  const { values } = await loadConfig({ sections: [storageSection], home, env, cwd })
  expect(await findHomeFolders({ home, env, cwd })).toEqual({
    keysFolder: values.storage.keys_dir,
    trustedFolder: join(values.storage.keys_dir, 'trusted'),
    rosterFolder: join(values.storage.data_dir, 'roster'),
  })
})

test('a config file that is named counts, also by a relative path', async () => {
  await mkdir(join(home, 'etc'))
  await writeFile(join(home, 'etc', 'w.yaml'), 'version: 1\nstorage:\n  keys_dir: secrets\nnet:\n  mdns: false\n')
  const { keysFolder } = await findHomeFolders({ home, config: 'etc/w.yaml', env: {}, cwd: home })
  expect(keysFolder).toBe(join(home, 'etc', 'secrets'))
  await expect(findHomeFolders({ home, config: 'none.yaml', env: {}, cwd: home })).rejects.toMatchObject({
    code: 'file_not_found',
  })
})

test.each(['storage:\n  keys_dir: 7\n', 'storage: [\n'])('a config such as %j is named with its line', async (text) => {
  await writeFile(join(home, 'config.yaml'), `version: 1\n${text}`)
  await expect(findHomeFolders({ home, env: {}, cwd: '/' })).rejects.toMatchObject({
    code: 'invalid_value',
    message: expect.stringContaining(`${join(home, 'config.yaml')}:`),
    hint: expect.stringContaining('config validate'),
  })
})
