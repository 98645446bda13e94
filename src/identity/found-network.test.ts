import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { addNode, removeNode } from './changes.ts'
import { signerFromSeed } from './ed25519.ts'
import { foundNetwork } from './found-network.ts'
import { loadSigner } from './key-files.ts'
import { openKeyring } from './keyring.ts'
import { peerIdOf } from './peer-id.ts'
import { rootSignerOf } from './recovery-phrase.ts'
import { Roster } from './roster/roster.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'warren-found-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

const folders = () => ({ keysFolder: join(home, 'keys'), rosterFolder: join(home, 'roster') })
const found = (name = 'laptop') => foundNetwork({ ...folders(), name, labels: { site: 'home' } })
const stranger = peerIdOf(signerFromSeed(new Uint8Array(32).fill(9)).publicKey)

test('a new network has its first node as admin, trusts its signing key, and all of it is on disk', async () => {
  const network = await found()
  const keyring = await openKeyring(folders().keysFolder)
  const roster = await Roster.open({ folder: folders().rosterFolder, networkId: network.networkId })
  expect(keyring.nodeId).toBe(network.nodeId)
  expect((await loadSigner(join(folders().keysFolder, 'authority.key'))).keyId).toBe(network.authority.keyId)
  expect(roster.roleOf(network.nodeId)).toBe('admin')
  expect(roster.state.nodes.get(network.nodeId)).toMatchObject({ name: 'laptop', labels: { site: 'home' } })
  expect((await loadSigner(join(folders().keysFolder, 'signing.key'))).keyId).toBe(network.signingKeyId)
  expect(roster.state.keys.get(network.signingKeyId)?.name).toBe('laptop')
  expect(rootSignerOf(network.recoveryPhrase).publicKey).toEqual(new Uint8Array(roster.genesis.root))
  for (const { path } of network.made) {
    expect((await stat(path)).mode & 0o077).toBe(path.endsWith('.pub') ? 0o044 : 0)
  }
  expect((await stat(folders().keysFolder)).mode & 0o777).toBe(0o700)
})

test('nothing that exists is overwritten, and nothing is made beside it', async () => {
  await mkdir(folders().keysFolder, { mode: 0o700 })
  await writeFile(join(folders().keysFolder, 'network.key'), 'mine')
  await expect(found()).rejects.toMatchObject({ code: 'key_exists' })
  expect(await readdir(folders().keysFolder)).toEqual(['network.key'])
  await rm(folders().keysFolder, { recursive: true })
  await found()
  await rm(folders().keysFolder, { recursive: true })
  await expect(found()).rejects.toMatchObject({ code: 'roster_exists' })
})

test('a founding that fails half-way takes back what it wrote', async () => {
  await expect(found('Not A Node Name')).rejects.toMatchObject({ code: 'statement_invalid' })
  expect(await readdir(folders().keysFolder)).toEqual(['trusted'])
  expect(await readdir(folders().rosterFolder)).toEqual([])
  await found()
})

test('a keys folder that others can enter is refused', async () => {
  await mkdir(folders().keysFolder)
  await chmod(folders().keysFolder, 0o755)
  await expect(found()).rejects.toMatchObject({ code: 'key_permissions' })
})

test('nodes are added, changed at the next revision, and removed for good', async () => {
  const network = await found()
  await addNode(network, { id: stranger, name: 'pi', role: 'member' })
  await addNode(network, { id: stranger, name: 'pi', role: 'operator', labels: { arch: 'arm64' } })
  expect(network.roster.state.nodes.get(stranger)).toMatchObject({
    role: 'operator',
    revision: 2,
    labels: { arch: 'arm64' },
  })
  await removeNode(network, stranger)
  expect(network.roster.roleOf(stranger)).toBeUndefined()
  await expect(addNode(network, { id: stranger, name: 'pi', role: 'member' })).rejects.toMatchObject({
    code: 'node_removed',
  })
})

test('the only admin cannot remove itself', async () => {
  const network = await found()
  await expect(removeNode(network, network.nodeId)).rejects.toMatchObject({ code: 'last_admin' })
  expect(network.roster.roleOf(network.nodeId)).toBe('admin')
})
