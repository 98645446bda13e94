import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { AnyCommand, CommandContext, CommandResult } from '../../command/index.ts'
import { foundNetwork } from '../found-network.ts'
import { loadSigner } from '../key-files.ts'
import { identityCommands } from './index.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-key-commands-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

async function run(name: string, args: object = {}, options: object = {}): Promise<CommandResult> {
  const command = (await identityCommands.find((entry) => entry.name === name)?.load()) as AnyCommand
  const context = {
    home,
    nodeHome: async () => home,
    cwd: home,
    json: false,
    say: () => undefined,
  } as unknown as CommandContext
  return (await command.run({ args, options, context } as unknown as Parameters<AnyCommand['run']>[0])) as CommandResult
}

test('the entries name their commands', async () => {
  for (const entry of identityCommands) {
    const command = await entry.load()
    expect([command.name, command.summary]).toEqual([entry.name, entry.summary])
  }
})

test('keygen writes a pair that belongs together, and never overwrites', async () => {
  const { json } = await run('keygen', { name: 'ci' })
  expect(json).toMatchObject({ name: 'ci', key_id: (await loadSigner(join(home, 'ci.key'))).keyId })
  expect(await readFile(join(home, 'ci.pub'), 'utf8')).toMatch(/^ed25519 \S{44} ci\n$/)
  await expect(run('keygen', { name: 'ci' })).rejects.toMatchObject({ code: 'key_exists' })
  await rm(join(home, 'ci.key'))
  await expect(run('keygen', { name: 'ci' })).rejects.toMatchObject({ code: 'key_exists' })
  expect(await readdir(home)).toEqual(['ci.pub'])
  await expect(run('keygen', { name: '-x' })).rejects.toMatchObject({ code: 'key_invalid' })
})

test('a key that is trusted is listed beside those of the network', async () => {
  expect((await run('key list')).json).toEqual([])
  await foundNetwork({ keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster'), name: 'laptop' })
  await run('keygen', { name: 'ci' })
  expect((await run('key trust', { file: 'ci.pub' }, { name: 'build server' })).json).toMatchObject({
    added: true,
    name: 'build server',
  })
  expect((await run('key trust', { file: 'ci.pub' })).json).toMatchObject({ added: false, name: 'build server' })
  expect((await run('key list')).json).toMatchObject([
    { name: 'build server', source: 'folder' },
    { name: 'laptop', source: 'roster' },
  ])
})

test('a name that another trusted key has is not taken over', async () => {
  await run('keygen', { name: 'a' })
  await run('keygen', { name: 'b' })
  await run('key trust', { file: 'a.pub' }, { name: 'ci' })
  await expect(run('key trust', { file: 'b.pub' }, { name: 'ci' })).rejects.toMatchObject({ code: 'key_exists' })
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
