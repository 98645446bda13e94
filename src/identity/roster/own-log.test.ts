import { copyFile, cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { alice, bob, carol, makeGenesis, nodeBody, START_MS } from './fixtures.ts'
import { Roster } from './roster.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-own-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const byAlice = { signer: alice.authority, authorId: alice.id }
const at = (name: string) => ({ folder: join(folder, name), clock: new ManualClock(START_MS) })
const draft = (revision: number) => ({ type: 'node', body: nodeBody(bob, { revision }) }) as const

async function started(): Promise<Roster> {
  const roster = await Roster.create({ ...at('a'), genesis: makeGenesis() })
  await roster.append(byAlice, draft(1))
  return roster
}

test('a home goes on with its own log after each restart', async () => {
  await started()
  for (const revision of [2, 3]) {
    const again = await Roster.open(at('a'))
    expect(again.ownLogConfirmed(alice.id)).toBe(true)
    await again.append(byAlice, draft(revision))
  }
})

test('a copied folder signs nothing until somebody says that nothing is missing in it, and keeps that', async () => {
  await started()
  await cp(join(folder, 'a'), join(folder, 'b'), { recursive: true })
  const copy = await Roster.open(at('b'))
  expect(copy.ownLogConfirmed(alice.id)).toBe(false)
  await expect(copy.append(byAlice, draft(2))).rejects.toMatchObject({
    code: 'roster_head_unconfirmed',
    hint: expect.stringContaining('accept-head'),
  })
  expect(copy.ownLogConfirmed(carol.id)).toBe(true)
  await copy.confirmOwnLog()
  await copy.append(byAlice, draft(2))
  expect((await Roster.open(at('b'))).ownLogConfirmed(alice.id)).toBe(true)
})

test('an older file is noticed, also where it was written over the newer one', async () => {
  const roster = await started()
  const file = join(folder, 'a', 'log')
  await copyFile(file, join(folder, 'backup'))
  const whole = await readFile(file)
  await roster.append(byAlice, draft(2))
  await writeFile(file, whole)
  const over = await Roster.open(at('a'))
  expect(over.size).toBe(1)
  expect(over.ownLogConfirmed(alice.id)).toBe(false)
  await rename(join(folder, 'backup'), file)
  expect((await Roster.open(at('a'))).ownLogConfirmed(alice.id)).toBe(false)
})

test('a roster that came from another node confirms nothing of an admin that wrote in it', async () => {
  const roster = await started()
  const other = await Roster.create({ ...at('b'), genesis: roster.genesis })
  expect(other.ownLogConfirmed(alice.id)).toBe(true)
  await other.merge(roster.entriesAfter([]))
  await rm(join(folder, 'b', 'own'))
  expect((await Roster.open(at('b'))).ownLogConfirmed(alice.id)).toBe(false)
  expect((await Roster.open(at('b'))).ownLogConfirmed(bob.id)).toBe(true)
})
