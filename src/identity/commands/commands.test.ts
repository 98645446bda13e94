import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apiErrors } from '../../api/index.ts'
import type { AnyCommand, CommandContext, CommandResult } from '../../command/index.ts'
import { setPolicy } from '../changes.ts'
import { foundNetwork } from '../found-network.ts'
import { loadSigner, readKeyFile } from '../key-files.ts'
import { identityCommands } from './index.ts'

let home: string
let env: Record<string, string>
let said: string[]
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-key-commands-'))
  env = {}
  said = []
})
afterEach(() => rm(home, { recursive: true, force: true }))

/** Runs a command as a person without a terminal and without a daemon would. */
async function run(name: string, args: object = {}, options: object = {}): Promise<CommandResult> {
  const command = (await identityCommands.find((entry) => entry.name === name)?.load()) as AnyCommand
  const noDaemon = async () => {
    throw apiErrors.daemon_not_running('no daemon answers', { hint: 'Start it: warren daemon start' })
  }
  const context = {
    home,
    env,
    nodeHome: async () => home,
    cwd: home,
    json: false,
    remote: false,
    stdin: Readable.from([]),
    readSecret: async () => {
      throw Object.assign(new Error('nothing'), { code: 'secret_missing' })
    },
    connect: noDaemon,
    connectLocal: noDaemon,
    say: (line: string) => said.push(line),
  } as unknown as CommandContext
  return (await command.run({ args, options, context } as unknown as Parameters<AnyCommand['run']>[0])) as CommandResult
}

test('the entries name their commands', async () => {
  for (const entry of identityCommands) {
    const command = await entry.load()
    expect([command.name, command.summary, command.aliases]).toEqual([entry.name, entry.summary, entry.aliases])
  }
})

test('keygen writes a pair that belongs together, and never overwrites', async () => {
  const { json } = await run('keygen', { name: 'ci' })
  expect(json).toMatchObject({ name: 'ci', key_id: (await loadSigner(join(home, 'ci.key'))).keyId, protected: false })
  expect(await readFile(join(home, 'ci.pub'), 'utf8')).toMatch(/^ed25519 \S{44} ci\n$/)
  await expect(run('keygen', { name: 'ci' })).rejects.toMatchObject({ code: 'key_exists' })
  await rm(join(home, 'ci.key'))
  await expect(run('keygen', { name: 'ci' })).rejects.toMatchObject({ code: 'key_exists' })
  expect(await readdir(home)).toEqual(['ci.pub'])
  await expect(run('keygen', { name: '-x' })).rejects.toMatchObject({ code: 'key_invalid' })
})

test('keygen with a passphrase, its change and its end; nothing said repeats it', async () => {
  await expect(run('keygen', { name: 'ci' }, { passphrase: true })).rejects.toMatchObject({ code: 'key_locked' })
  env = { WARREN_PASSPHRASE: 'first words' }
  const made = await run('keygen', { name: 'ci' }, { passphrase: true })
  expect(made.json).toMatchObject({ protected: true })
  const path = join(home, 'ci.key')
  await expect(run('key protect', { key: 'ci.key' })).rejects.toMatchObject({ code: 'key_locked' })
  env = { WARREN_PASSPHRASE: 'first words', WARREN_NEW_PASSPHRASE: 'second words' }
  const changed = await run('key protect', { key: 'ci.key' })
  await expect(loadSigner(path, { passphrase: 'second words' })).resolves.toMatchObject({
    keyId: (made.json as { key_id: string }).key_id,
  })
  await expect(run('key unprotect', { key: 'ci.key' })).rejects.toMatchObject({ code: 'passphrase_wrong' })
  env = { WARREN_PASSPHRASE: 'second words' }
  const plain = await run('key unprotect', { key: 'ci.key' })
  expect((await readKeyFile(path)).isProtected).toBe(false)
  expect(JSON.stringify([made, changed, plain, said])).not.toMatch(/first words|second words/)
})

test('authority and signing are words for the keys of the home, which its config may have moved', async () => {
  await writeFile(join(home, 'config.yaml'), 'version: 1\nstorage:\n  keys_dir: secrets\n  data_dir: state\n')
  await foundNetwork({ keysFolder: join(home, 'secrets'), rosterFolder: join(home, 'state', 'roster'), name: 'laptop' })
  env = { WARREN_PASSPHRASE: 'some good words' }
  for (const key of ['authority', 'signing']) {
    await run('key protect', { key })
    expect((await readKeyFile(join(home, 'secrets', `${key}.key`))).isProtected).toBe(true)
  }
  await expect(run('key protect', { key: join(home, 'secrets', 'node.key') })).rejects.toMatchObject({ code: 'usage' })
  await run('keygen', { name: 'ci' })
  await run('key trust', { file: 'ci.pub' }, { local: true })
  expect(await readdir(join(home, 'secrets', 'trusted'))).toEqual(['ci.pub'])
  expect((await run('key list')).json).toMatchObject([{ name: 'ci' }, { name: 'laptop' }])
})

test('without a daemon a key is trusted on this node alone, and listed beside those of the network', async () => {
  expect((await run('key list')).json).toEqual([])
  expect((await run('policy list')).json).toEqual([])
  const folders = { keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster') }
  const network = await foundNetwork({ ...folders, name: 'laptop' })
  const policy = { name: 'all', packages: ['*'], labels: '', threshold: 1, minVersion: null }
  await setPolicy(network, { ...policy, keys: [network.signingKeyId] })
  expect((await run('policy list')).json).toMatchObject([{ name: 'all', keys: [{ name: 'laptop' }] }])
  await run('keygen', { name: 'ci' })
  await expect(run('key trust', { file: 'ci.pub' })).rejects.toMatchObject({
    code: 'daemon_not_running',
    hint: expect.stringContaining('warren key trust ci.pub --local'),
  })
  const local = { local: true }
  expect((await run('key trust', { file: 'ci.pub' }, { name: 'build server', ...local })).json).toMatchObject({
    added: true,
    name: 'build server',
  })
  expect((await run('key trust', { file: 'ci.pub' }, local)).json).toMatchObject({ added: false, name: 'build server' })
  expect((await run('key list')).json).toMatchObject([
    { name: 'build server', source: 'folder', state: 'trusted', expires: null },
    { name: 'laptop', source: 'roster', state: 'trusted' },
  ])
})

test('a name that another trusted key has is not taken over', async () => {
  await run('keygen', { name: 'a' })
  await run('keygen', { name: 'b' })
  await run('key trust', { file: 'a.pub' }, { name: 'ci', local: true })
  await expect(run('key trust', { file: 'b.pub' }, { name: 'ci', local: true })).rejects.toMatchObject({
    code: 'key_exists',
  })
  await expect(run('key trust', { file: 'none.pub' })).rejects.toMatchObject({ code: 'key_not_found' })
})

test('psk prints 64 hex digits, or writes them to a file that only its owner reads', async () => {
  const { human } = await run('psk')
  expect(human).toMatch(/^[0-9a-f]{64}$/)
  expect((await run('psk')).human).not.toBe(human)
  const { json } = await run('psk', {}, { output: 'network.key' })
  expect(json).toEqual({ file: join(home, 'network.key') })
  expect((await stat(join(home, 'network.key'))).mode & 0o777).toBe(0o600)
  await expect(run('psk', {}, { output: 'network.key' })).rejects.toMatchObject({ code: 'key_exists' })
})
