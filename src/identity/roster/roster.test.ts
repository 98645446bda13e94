import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { type Logger, silentLogger } from '../../base/log.ts'
import { encodeEnvelope, sealEnvelope } from '../envelope.ts'
import { MAX_VOID_STATEMENTS, MAX_WAITING_STATEMENTS, ROSTER_PAYLOAD_TYPE } from './constants.ts'
import { alice, bob, carol, createForge, makeGenesis, nodeBody, START_MS, writer } from './fixtures.ts'
import { openGenesis } from './genesis.ts'
import { RosterLog } from './log-file.ts'
import { Roster } from './roster.ts'

let folder: string
let logged: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warren-roster-'))
  logged = ''
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const clock = () => new ManualClock(START_MS)
const log: Logger = {
  ...silentLogger,
  warn: (fields, message) => {
    logged += `${JSON.stringify(fields)} ${message}\n`
  },
}
const options = () => ({ folder, clock: clock(), log })
const byAlice = { signer: alice.authority, authorId: alice.id }
const file = () => join(folder, 'log')

test('what was appended is there after opening again, with the same state and digest', async () => {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  const first = await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { role: 'operator' }) })
  const second = await roster.append(byAlice, { type: 'node', body: nodeBody(carol, { name: 'c' }) })
  expect([first.seq, second.seq, second.prev]).toEqual([1, 2, first.hash])
  const again = await Roster.open({ ...options(), networkId: roster.networkId })
  expect(again.state).toEqual(roster.state)
  expect(again.digest()).toBe(roster.digest())
  expect(again.heads()).toEqual([{ author: alice.id, seq: 2, hash: second.hash }])
  expect(again.roleOf(bob.id)).toBe('operator')
  expect((await stat(file())).mode & 0o777).toBe(0o600)
})

test('statements written at once get their own places', async () => {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  const names = ['a', 'b', 'c', 'd']
  await Promise.all(
    names.map((name) => roster.append(byAlice, { type: 'node', body: nodeBody(writer(name), { name }) })),
  )
  expect(roster.heads()).toMatchObject([{ seq: 4 }])
  expect(roster.state.nodes.size).toBe(4)
})

test('times of one log never go back', async () => {
  const time = clock()
  const roster = await Roster.create({ folder, clock: time, genesis: makeGenesis() })
  time.advance(5000)
  const first = await roster.append(byAlice, { type: 'node', body: nodeBody(bob) })
  time.advance(-4000)
  const second = await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { revision: 2 }) })
  expect(second.timeMs).toBe(first.timeMs)
})

test('a change is heard once it is on disk, with the new state', async () => {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  const heard: string[][] = []
  const stop = roster.onChange((state) => heard.push([...state.nodes.keys()]))
  const { envelope } = await roster.append(byAlice, { type: 'node', body: nodeBody(bob) })
  await roster.merge([envelope])
  stop()
  await roster.append(byAlice, { type: 'node', body: nodeBody(carol, { name: 'c' }) })
  expect(heard).toEqual([[bob.id]])
})

test('only an admin appends, with its own authority key, and only what this release understands', async () => {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  const draft = { type: 'node', body: nodeBody(bob) } as const
  for (const by of [
    { signer: bob.authority, authorId: bob.id },
    { signer: bob.authority, authorId: alice.id },
    { signer: bob.authority, authorId: 'root' },
  ]) {
    await expect(roster.append(by, draft)).rejects.toMatchObject({ code: 'not_admin' })
  }
  const bad = { type: 'node', body: nodeBody(bob, { name: 'Not A Name' }) } as const
  await expect(roster.append(byAlice, bad)).rejects.toMatchObject({ code: 'statement_invalid' })
  expect(roster.size).toBe(0)
})

test('a forked log takes no more of its author', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const roster = await Roster.create({ ...options(), genesis })
  const one = forge.write(alice, 'node', nodeBody(bob))
  const two = forge.write(alice, 'node', nodeBody(carol), { after: { seq: 0, hash: genesis.networkId } })
  await roster.merge([one.envelope, two.envelope])
  expect(roster.state.alarms).toMatchObject([{ code: 'log_fork' }])
  expect(logged).toContain('log_fork')
  const draft = { type: 'node', body: nodeBody(bob) } as const
  await expect(roster.append(byAlice, draft)).rejects.toMatchObject({ code: 'roster_log_frozen' })
})

test('a folder is started once, and opened only for its own network', async () => {
  await expect(Roster.open(options())).rejects.toMatchObject({ code: 'roster_missing' })
  await Roster.create({ ...options(), genesis: makeGenesis() })
  await expect(Roster.create({ ...options(), genesis: makeGenesis() })).rejects.toMatchObject({ code: 'roster_exists' })
  await expect(Roster.open({ ...options(), networkId: 'f'.repeat(64) })).rejects.toMatchObject({
    code: 'wrong_network',
  })
})

test('a genesis that not all of its keys signed is refused', () => {
  const { envelope } = makeGenesis()
  for (const signature of envelope.signatures) {
    const partly = { ...envelope, signatures: [signature] }
    expect(() => openGenesis(partly)).toThrow(expect.objectContaining({ code: 'statement_invalid' }))
  }
  expect(() => openGenesis({ ...envelope, payload: Buffer.from('{}') })).toThrow('not valid')
})

async function rosterWithNodes(count: number): Promise<Roster> {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  for (let at = 1; at <= count; at++) {
    await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { revision: at, name: `n${at}` }) })
  }
  return roster
}

test('a file cut off at any byte opens with what was whole, says so, and goes on', async () => {
  const roster = await rosterWithNodes(1)
  // Longer than what is written over it afterwards, so that a rest of it would show.
  const labels = Object.fromEntries(Array.from({ length: 20 }, (_none, at) => [`label-${at}`, 'x'.repeat(60)]))
  await roster.append(byAlice, { type: 'node', body: nodeBody(bob, { revision: 2, name: 'n2', labels }) })
  const whole = await readFile(file())
  const lastLine = whole.lastIndexOf(0x0a, whole.length - 2) + 1
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: lastLine + 1, max: whole.length - 1 }), async (cut) => {
      await writeFile(file(), whole.subarray(0, cut))
      logged = ''
      const opened = await Roster.open(options())
      expect(opened.state.nodes.get(bob.id)?.name).toBe('n1')
      expect(logged).toContain('unfinished line')
      // Whoever cuts off what was written must say that no more is missing.
      await opened.confirmOwnLog()
      await opened.append(byAlice, { type: 'node', body: nodeBody(carol, { name: 'c' }) })
      logged = ''
      expect((await Roster.open(options())).digest()).toBe(opened.digest())
      expect(logged).toBe('')
    }),
    { numRuns: 20 },
  )
})

test('a file damaged before its end is set aside and named, and read-only looks leave it', async () => {
  await rosterWithNodes(3)
  const whole = await readFile(file())
  whole[whole.indexOf('payload', whole.indexOf(0x0a))] = 0x58
  await writeFile(file(), whole)
  await expect(Roster.open({ ...options(), readOnly: true })).rejects.toMatchObject({ code: 'roster_damaged' })
  expect(await readdir(folder)).toEqual(['log', 'own'])
  await expect(Roster.open(options())).rejects.toMatchObject({ code: 'roster_damaged' })
  expect(await readdir(folder)).toEqual([expect.stringMatching(/^log\.damaged-/), 'own'])
  await expect(Roster.open(options())).rejects.toMatchObject({
    code: 'roster_missing',
    message: expect.stringContaining('log.damaged-'),
    hint: expect.stringContaining('from another node'),
  })
})

test('a missing middle is damage, not a shorter log', async () => {
  await rosterWithNodes(3)
  const lines = (await readFile(file(), 'utf8')).split('\n')
  await writeFile(file(), [lines[0], lines[1], lines[3], ''].join('\n'))
  await expect(Roster.open(options())).rejects.toMatchObject({ code: 'roster_damaged' })
})

test('a second writer is noticed before it does harm', async () => {
  const roster = await rosterWithNodes(1)
  await appendFile(file(), 'x')
  const draft = { type: 'node', body: nodeBody(carol, { name: 'c' }) } as const
  await expect(roster.append(byAlice, draft)).rejects.toMatchObject({ code: 'roster_damaged' })
  expect(roster.state.nodes.size).toBe(1)
  expect((await readFile(file())).at(-1)).toBe('x'.charCodeAt(0))
})

test('what cannot be stored does not count, and can be given again', async () => {
  const roster = await rosterWithNodes(1)
  const before = roster.digest()
  const other = createForge(roster.genesis).write(alice, 'node', nodeBody(carol, { name: 'c' }), {
    after: { seq: 1, hash: roster.heads()[0]?.hash ?? '' },
  })
  await rm(file())
  await expect(roster.merge([other.envelope])).rejects.toMatchObject({ code: 'ENOENT' })
  expect(roster.digest()).toBe(before)
  expect(roster.size).toBe(1)
})

test('hostile input is refused with its reason, and the good beside it is taken', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const foreign = createForge(makeGenesis(bob))
  const good = forge.write(alice, 'node', nodeBody(bob))
  const start = { seq: 0, hash: genesis.networkId }
  const bad = [
    ['malformed', Buffer.from('nonsense')],
    ['too_large', Buffer.alloc(40_000, 0x20)],
    ['too_large', forge.write(alice, 'x', 'y'.repeat(17_000), { after: start }).envelope],
    ['wrong_network', foreign.write(bob, 'node', nodeBody(carol)).envelope],
    ['malformed', forge.write(alice, 'node', {}, { after: start, overrides: { seq: 0 } }).envelope],
    ['malformed', forge.write(alice, 'node', {}, { after: start, overrides: { time: -1 } }).envelope],
    ['malformed', forge.write(alice, 'node', {}, { after: start, overrides: { author: 'me' } }).envelope],
    ['malformed', forge.write(alice, 'node', {}, { after: start, overrides: { type: 'No Type' } }).envelope],
    ['broken_chain', forge.write(alice, 'node', {}, { after: start, overrides: { prev: 'a'.repeat(64) } }).envelope],
    ['broken_chain', forge.write(alice, 'node', {}, { after: { seq: 2, hash: good.hash } }).envelope],
    [
      'bad_signature',
      { ...good.envelope, payload: Buffer.from(JSON.stringify({ ...header(good.envelope), body: {} })) },
    ],
  ] as const
  const roster = await Roster.create({ ...options(), genesis })
  const inputs = bad.map(([, input]) => input)
  const { added, rejected } = await roster.merge([
    good.envelope,
    ...inputs,
    encodeEnvelope(good.envelope),
    genesis.envelope,
  ])
  expect(added.map(({ hash }) => hash)).toEqual([good.hash])
  expect(rejected.map(({ reason }) => reason)).toEqual(bad.map(([reason]) => reason))
})

function header(envelope: { payload: Uint8Array }): object {
  return JSON.parse(Buffer.from(envelope.payload).toString())
}

test('random payloads, well signed by an admin, never throw', async () => {
  const roster = await Roster.create({ ...options(), genesis: makeGenesis() })
  await fc.assert(
    fc.asyncProperty(
      fc.jsonValue(),
      fc.constantFrom('node', 'admins', 'node-remove', 'key', 'other'),
      async (body, type) => {
        const last = roster.heads()[0]
        const fields = {
          network: roster.networkId,
          author: alice.id,
          key: alice.authority.keyId,
          seq: (last?.seq ?? 0) + 1,
          prev: last?.hash ?? roster.networkId,
        }
        const payload = Buffer.from(JSON.stringify({ ...fields, time: START_MS, type, body }))
        const envelope = sealEnvelope({ payloadType: ROSTER_PAYLOAD_TYPE, payload, signers: [alice.authority] })
        expect((await roster.merge([envelope])).added).toHaveLength(1)
      },
    ),
    { numRuns: 50 },
  )
  expect((await Roster.open(options())).digest()).toBe(roster.digest())
})

test('a stranger’s statements wait, are never stored, and the oldest make room', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const roster = await Roster.create({ ...options(), genesis })
  const strange = Array.from(
    { length: MAX_WAITING_STATEMENTS + 50 },
    () => forge.write(bob, 'node', nodeBody(carol)).envelope,
  )
  const result = await roster.merge(strange)
  expect(result).toMatchObject({ added: [], waiting: MAX_WAITING_STATEMENTS })
  expect(roster.size).toBe(0)
  expect((await Roster.open(options())).digest()).toBe(roster.digest())
})

test('a forked author cannot fill the roster, and the file opens with all that was taken', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  const roster = await Roster.create({ ...options(), genesis })
  const start = { seq: 0, hash: genesis.networkId }
  const flood = Array.from(
    { length: MAX_VOID_STATEMENTS + 100 },
    (_none, at) => forge.write(alice, 'flood', at, { after: start }).envelope,
  )
  const { rejected } = await roster.merge(flood)
  expect(new Set(rejected.map(({ reason }) => reason))).toEqual(new Set(['author_void']))
  expect(roster.size).toBe(MAX_VOID_STATEMENTS + 1)
  expect((await roster.merge(flood)).added).toEqual([])
  expect((await Roster.open(options())).digest()).toBe(roster.digest())
})

test('a file that was written under wider limits opens', async () => {
  const genesis = makeGenesis()
  const forge = createForge(genesis)
  await Roster.create({ ...options(), genesis })
  const start = { seq: 0, hash: genesis.networkId }
  const { log: raw } = await RosterLog.open(folder, { clock: clock(), readOnly: false })
  const many = Array.from({ length: MAX_VOID_STATEMENTS + 10 }, (_none, at) =>
    forge.write(alice, 'x', at, { after: start }),
  )
  await raw.append(many.map(({ envelope }) => encodeEnvelope(envelope)))
  expect((await Roster.open(options())).size).toBe(many.length)
})
