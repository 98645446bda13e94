import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { silentLogger } from '../base/log.ts'
import { addNode, createSigner, foundNetwork, loadSigner, peerIdOf } from '../identity/index.ts'
import { createGate } from './gate.ts'

test('a membership that runs out, and a new list of authorized peers, are changes by which connections are judged again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'warren-gate-'))
  const keysFolder = join(folder, 'keys')
  const clock = new ManualClock(1_000_000)
  const told: Decision[] = []
  try {
    const { roster, nodeId } = await foundNetwork({
      keysFolder,
      rosterFolder: join(folder, 'roster'),
      name: 'alpha',
      clock,
    })
    const author = { roster, authority: await loadSigner(join(keysFolder, 'authority.key')), authorId: nodeId }
    const id = peerIdOf((await createSigner(join(folder, 'guest.key'))).publicKey)
    await addNode(author, { id, name: 'guest', role: 'viewer', expires: clock.now() + 60_000 })
    const gate = await createGate({
      mode: 'roster',
      roster,
      file: join(folder, 'authorized_peers'),
      staticPeers: new Set(),
      log: silentLogger,
      expiryCheckMs: 10,
      tell: (decision) => void told.push(decision),
    })
    try {
      expect(gate.allow(id, 'inbound')).toEqual({ allowed: true })
      const changed = new Promise<void>((resolve) => gate.onChange(resolve))
      clock.advance(60_000)
      await changed
      expect(gate.allow(id, 'inbound')).toMatchObject({ allowed: false })

      await writeFile(join(folder, 'authorized_peers'), `${id}\n`)
      await expect.poll(() => told.at(-1)).toMatchObject({ subject: 'authorized_peers', outcome: 'done' })
      expect(gate.allow(id, 'inbound')).toEqual({ allowed: true })
      await writeFile(join(folder, 'authorized_peers'), 'nonsense\n')
      await expect.poll(() => told.at(-1)).toMatchObject({ outcome: 'failed', by: 'local' })
    } finally {
      gate.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
