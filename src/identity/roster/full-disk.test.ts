import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { draftCheckpoint, sealRoot } from '../root-changes.ts'
import { alice, bob, carol, createForge, makeGenesis, nodeBody, rootSigner, START_MS } from './fixtures.ts'
import { Roster } from './roster.ts'

const execute = promisify(execFile)
const byAlice = { signer: alice.authority, authorId: alice.id }

let folder: string
let isMounted: boolean
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-full-'))
  isMounted = await execute('mount', ['-t', 'tmpfs', '-o', 'size=128k,mode=700', 'tmpfs', folder]).then(
    () => true,
    () => false,
  )
})
afterEach(async () => {
  if (isMounted) await execute('umount', [folder])
  await rm(folder, { recursive: true, force: true })
})

async function fillDisk(): Promise<void> {
  for (const size of [16_384, 1024, 1]) {
    for (let at = 0; ; at++) {
      const written = await writeFile(join(folder, `filler-${size}-${at}`), Buffer.alloc(size)).then(
        () => true,
        () => false,
      )
      if (!written) break
    }
  }
}

test('a statement that a full disk cannot hold changes nothing, and is taken once there is room', async (context) => {
  if (!isMounted) return context.skip('mounting a small tmpfs needs root')
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const options = { folder: join(folder, 'roster'), clock: new ManualClock(START_MS) }
  const roster = await Roster.create({ ...options, genesis })
  // Longer than what may be left of the file's last page.
  const keep = Array.from({ length: 150 }, (_none, at) => String(at).padStart(64, '0'))
  for (let revision = 1; revision <= 8; revision++) {
    await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { revision }) })
  }
  const before = { digest: roster.digest(), size: roster.size, heads: roster.heads() }
  const stateNow = () => ({ digest: roster.digest(), size: roster.size, heads: roster.heads() })
  await fillDisk()
  const draft = { type: 'key-revoke', body: { key: carol.authority.keyId, keep } } as const
  const full = { code: 'ENOSPC' }
  await expect(roster.append(byAlice, draft)).rejects.toMatchObject(full)
  const place = roster.placeOf(alice.id)
  const fromPeer = forge.write(alice, draft.type, draft.body, place ? { after: place } : {})
  await expect(roster.merge([fromPeer.envelope])).rejects.toMatchObject(full)
  const parts = sealRoot(draftCheckpoint(roster), [rootSigner])
  await expect(roster.submitRoot(parts)).rejects.toMatchObject(full)
  await expect(roster.signedHeads.sign(byAlice)).rejects.toMatchObject(full)
  expect(stateNow()).toEqual(before)
  expect((await Roster.open(options)).digest()).toBe(before.digest)
  await execute('sh', ['-c', 'rm filler-*'], { cwd: folder })
  expect((await roster.append(byAlice, draft)).seq).toBe(9)
  await roster.submitRoot(sealRoot(draftCheckpoint(roster), [rootSigner]))
  expect((await Roster.open(options)).digest()).toBe(roster.digest())
})
