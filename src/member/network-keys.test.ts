import { randomBytes } from 'node:crypto'
import { mkdir, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import {
  admitAdmin,
  announceNetworkKey,
  createSigner,
  networkKeyCheck,
  Roster,
  readNetworkKey,
  replaceNetworkKey,
} from '../identity/index.ts'
import { createFleet } from './fixtures/fleet.ts'
import { createNetworkKeys } from './network-keys.ts'

const MINUTE = 60_000
const fleet = createFleet()
afterEach(() => fleet.end())

async function home() {
  const made = await fleet.found()
  const { keysFolder, roster, author } = made
  const clock = new ManualClock(Date.now())
  const first = await readNetworkKey(join(keysFolder, 'network.key'))
  const open = (current?: Uint8Array) =>
    readNetworkKey(join(keysFolder, 'network.key')).then((file) =>
      createNetworkKeys({ keysFolder, current: current ?? file, roster, clock, log: silentLogger }),
    )
  const files = async () => (await readdir(keysFolder)).filter((name) => name.startsWith('network.')).sort()
  const fileOf = (name: string) => readNetworkKey(join(keysFolder, name))
  return { keysFolder, roster, author, clock, first, open, files, fileOf }
}

test('a rotation announces a key that is on disk, and the one before is forgotten ten minutes later', async () => {
  const { roster, author, clock, first, open, files, fileOf, keysFolder } = await home()
  const keys = await open()
  expect(keys.keys()).toEqual([first])
  const statement = await keys.rotate(author)
  expect(statement.type).toBe('network-key')
  const [second, ...older] = keys.keys()
  expect(older).toEqual([first])
  expect(roster.state.networkKey?.check).toBe(networkKeyCheck(second as Uint8Array))
  expect(await files()).toEqual(['network.key', 'network.previous.key'])
  expect(await fileOf('network.key')).toEqual(second)
  expect(await fileOf('network.previous.key')).toEqual(first)
  expect((await stat(join(keysFolder, 'network.key'))).mode & 0o777).toBe(0o600)
  clock.advance(10 * MINUTE - 1)
  expect(keys.keys()).toHaveLength(2)
  clock.advance(1)
  expect(keys.keys()).toEqual([second])
  await expect.poll(files).toEqual(['network.key'])
  keys.stop()
})

test('after a crash between the announcement and the move the key is there at the next start', async () => {
  const { author, keysFolder, first, open, files, fileOf } = await home()
  const made = new Uint8Array(randomBytes(32))
  await replaceNetworkKey(join(keysFolder, 'network.next.key'), made)
  await announceNetworkKey(author, networkKeyCheck(made))
  const keys = await open()
  expect(keys.keys()).toEqual([made, first])
  expect(keys.lacking()).toBeUndefined()
  expect(await files()).toEqual(['network.key', 'network.previous.key'])
  expect(await fileOf('network.key')).toEqual(made)
  keys.stop()
})

test('after a crash in the middle of the move the key before is still offered, also at the start after', async () => {
  const { author, keysFolder, first, open, files } = await home()
  const made = new Uint8Array(randomBytes(32))
  await announceNetworkKey(author, networkKeyCheck(made))
  await replaceNetworkKey(join(keysFolder, 'network.next.key'), made)
  await replaceNetworkKey(join(keysFolder, 'network.previous.key'), first)
  await replaceNetworkKey(join(keysFolder, 'network.key'), made)
  for (const start of ['first', 'second']) {
    const keys = await open()
    expect([start, keys.keys()]).toEqual([start, [made, first]])
    expect(await files()).toEqual(['network.key', 'network.previous.key'])
    keys.stop()
  }
})

test('where another admin announced a key at the same time, and that one counts, one more follows: who was removed by this admin may have been handed the other', async () => {
  const made = await fleet.found()
  const second = await fleet.add(made, 'beta')
  const authority = await createSigner(join(second.keysFolder, 'authority.key'))
  await admitAdmin(made.author, { id: second.id, authority: authority.publicKey })
  const { keysFolder, rosterFolder, roster, author } = made
  const current = await readNetworkKey(join(keysFolder, 'network.key'))
  const keys = await createNetworkKeys({
    keysFolder,
    current,
    roster,
    clock: new ManualClock(Date.now()),
    log: silentLogger,
  })
  const other = { roster: second.roster, authority, authorId: second.id }
  await second.roster.merge(roster.entriesAfter([]))
  const mine = await keys.rotate(author)
  // Its hash is lower for half of all checks.
  const before = second.roster.entriesAfter([])
  let theirs = mine
  for (let count = 0; theirs.hash >= mine.hash; count++) {
    const folder = join(rosterFolder, `copy-${count}`)
    const copy = await Roster.create({ folder, genesis: roster.genesis })
    await copy.merge(before)
    theirs = await announceNetworkKey({ ...other, roster: copy }, networkKeyCheck(randomBytes(32)))
  }
  await roster.merge([theirs.envelope])
  await expect.poll(() => roster.state.networkKey).toMatchObject({ revision: 2, author: author.authorId })
  expect(keys.lacking()).toBeUndefined()
  keys.stop()
})

test('a key that a crash kept from being announced is removed at the next start', async () => {
  const { keysFolder, first, open, files } = await home()
  await replaceNetworkKey(join(keysFolder, 'network.next.key'), randomBytes(32))
  const keys = await open()
  expect(keys.keys()).toEqual([first])
  expect(await files()).toEqual(['network.key'])
  keys.stop()
})

test('a rotation that may not be announced leaves nothing behind', async () => {
  const { author, first, open, files } = await home()
  const keys = await open()
  await expect(keys.rotate({ ...author, authorId: 'nobody' })).rejects.toMatchObject({ code: 'not_admin' })
  expect(keys.keys()).toEqual([first])
  expect(await files()).toEqual(['network.key'])
  keys.stop()
})

test('only the announced key is taken, and only once', async () => {
  const { author, first, open, fileOf } = await home()
  const keys = await open()
  const announced = new Uint8Array(randomBytes(32))
  expect(await keys.take(announced)).toBe(false)
  await announceNetworkKey(author, networkKeyCheck(announced))
  expect(keys.lacking()).toBe(networkKeyCheck(announced))
  expect(await keys.take(randomBytes(32))).toBe(false)
  expect(await keys.take(announced.subarray(0, 31))).toBe(false)
  expect(await Promise.all([keys.take(announced), keys.take(announced)])).toEqual([true, false])
  expect(keys.lacking()).toBeUndefined()
  expect(keys.keys()).toEqual([announced, first])
  expect(keys.keyOf(networkKeyCheck(announced))).toEqual(announced)
  expect(await fileOf('network.key')).toEqual(announced)
  keys.stop()
})

test('keys of a renewal are tried out in memory, and kept once one of them is announced', async () => {
  const { author, clock, first, open, files, roster } = await home()
  const keys = await open()
  const [good, bad] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))]
  expect(keys.tryOut([good, bad, first])).toBe(true)
  expect(keys.tryOut([good])).toBe(false)
  expect(keys.keys()).toEqual([first, good, bad])
  expect(keys.handOver()).toEqual([first])
  expect(keys.keyOf(networkKeyCheck(bad))).toBeUndefined()
  expect(await files()).toEqual(['network.key'])
  await announceNetworkKey(author, networkKeyCheck(good))
  await expect.poll(() => keys.handOver()).toEqual([good, first])
  expect(roster.state.networkKey?.check).toBe(networkKeyCheck(good))
  clock.advance(10 * MINUTE)
  expect(keys.keys()).toEqual([good])
  keys.stop()
})

test('more keys than a proof takes are never offered', async () => {
  const { author, open } = await home()
  const keys = await open()
  for (let count = 0; count < 7; count++) await keys.rotate(author)
  keys.tryOut(Array.from({ length: 5 }, () => randomBytes(32)))
  expect(keys.keys().length).toBeLessThanOrEqual(8)
  keys.stop()
})

test('the previous key is forgotten by the time of its file, also where the node was off meanwhile', async () => {
  const { author, clock, keysFolder, open, files } = await home()
  const before = await open()
  await before.rotate(author)
  before.stop()
  const path = join(keysFolder, 'network.previous.key')
  const sixMinutesAgo = new Date(clock.now() - 6 * MINUTE)
  await utimes(path, sixMinutesAgo, sixMinutesAgo)
  const again = await open()
  expect(again.keys()).toHaveLength(2)
  clock.advance(4 * MINUTE)
  expect(again.keys()).toHaveLength(1)
  await expect.poll(files).toEqual(['network.key'])
  again.stop()
})

test('a key of the configuration is the current one, until the file holds the announced one', async () => {
  const { author, first, open } = await home()
  const given = new Uint8Array(randomBytes(32))
  const alone = await open(given)
  expect(alone.keys()).toEqual([given])
  alone.stop()
  await announceNetworkKey(author, networkKeyCheck(first))
  const keys = await open(given)
  expect(keys.keys()).toEqual([first, given])
  keys.stop()
})

test('a new key that cannot be stored is used all the same, and its file stays for the next start', async () => {
  const { author, keysFolder, open, files } = await home()
  const keys = await open()
  await mkdir(join(keysFolder, 'network.previous.key', 'in-the-way'), { recursive: true })
  await keys.rotate(author)
  expect(keys.lacking()).toBeUndefined()
  expect(await files()).toContain('network.next.key')
  keys.stop()
})
