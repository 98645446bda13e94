import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createNetworkKey, networkKeyCheck, readNetworkKey, replaceNetworkKey } from './network-key.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})
async function pathOfKey(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-key-'))
  folders.push(folder)
  return join(folder, 'network.key')
}

test('the check of a key is always the same, and that of another key another', () => {
  // From the formula in docs/protocols/join.md: every release must come to it.
  expect(networkKeyCheck(new Uint8Array(32).fill(7))).toBe(
    '6e24fd61ff22484d191db95698b22b8f2e68ea48e89cd3733d14e344a674eb5f',
  )
  const key = randomBytes(32)
  expect(networkKeyCheck(key)).toBe(networkKeyCheck(Uint8Array.from(key)))
  expect(networkKeyCheck(key)).not.toBe(networkKeyCheck(randomBytes(32)))
  expect(networkKeyCheck(key)).not.toContain(key.toString('hex').slice(0, 16))
})

test('a key file is replaced whole, for its owner alone, with nothing left beside it', async () => {
  const path = await pathOfKey()
  await createNetworkKey(path)
  const next = new Uint8Array(randomBytes(32))
  await replaceNetworkKey(path, next)
  expect(await readNetworkKey(path)).toEqual(next)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readFile(path, 'latin1')).toMatch(/^[0-9a-f]{64}\n$/)
  expect(await readdir(join(path, '..'))).toEqual(['network.key'])
})
