import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { foundNetwork, openKeyring } from './index.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-keyring-'))
  await foundNetwork({ keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster'), name: 'alpha' })
})
afterEach(() => rm(home, { recursive: true, force: true }))

test('a network key that is given stands in for the file, and a malformed one stops the start without being quoted', async () => {
  const keys = join(home, 'keys')
  const own = await openKeyring(keys)
  await rm(join(keys, 'network.key'))
  await expect(openKeyring(keys)).rejects.toMatchObject({ code: 'network_key_missing' })
  const given = await openKeyring(keys, { networkKey: Buffer.from(own.networkKey).toString('hex') })
  expect(given.networkKey).toEqual(own.networkKey)
  await expect(openKeyring(keys, { networkKey: 'beefburger' })).rejects.toMatchObject({
    code: 'network_key_invalid',
    message: expect.not.stringContaining('beefburger'),
  })
})
