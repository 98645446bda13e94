/** A node is put out of its network, and what the audit logs say of it afterwards, with the real program. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeLine, encodeLine } from '../../src/audit/entry.ts'
import { encodeHead, signHead } from '../../src/audit/head.ts'
import { ownHeadPath } from '../../src/audit/offline.ts'
import { loadSigner } from '../../src/identity/index.ts'
import { createHomes, type Home, type Homes, nodesOf, until, untilAgree, untilSees } from './homes.ts'

interface Entry {
  readonly seq: number
  readonly what: string
  readonly outcome: string
  readonly by: string
  readonly subject: string
  readonly reason?: string
}

let homes: Homes
let alice: Home
let bob: Home
let carol: Home
let mallory: Home
const ids = new Map<Home, string>()
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  await homes.found(alice)
  ;[bob, carol, mallory] = await Promise.all([
    homes.join(alice, 'bob'),
    homes.join(alice, 'carol'),
    homes.join(alice, 'mallory', '--role', 'viewer'),
  ])
  for (const home of [alice, bob, carol, mallory]) ids.set(home, (await statusOf(home)).id)
  await untilAgree(alice, bob, carol, mallory)
})
afterAll(() => homes?.cleanup(), 60_000)

const statusOf = (home: Home) => home.ask<{ id: string; addresses: string[]; problems: string[] }>('status', '--json')
const addressOf = async (home: Home) => (await statusOf(home)).addresses[0] as string
const peersOf = async (home: Home) => (await home.ask<{ peer: string }[]>('peers', '--json')).map(({ peer }) => peer)
const networkKeyOf = (home: Home) => readFile(join(home.folder, 'keys', 'network.key'), 'utf8')
const entriesOf = async (home: Home) => (await home.must('audit', '--tail', '5000', '--json')).lines<Entry>()

test('a removed node loses every connection and stream, the key changes, and who was away follows', async () => {
  const script = 'while :; do echo tick; sleep 0.1; done'
  const chatty = await homes.writeApp('chatty', '1.0.0', { script })
  await alice.must('deploy', chatty, '--on', 'alice', '--json')
  expect(await mallory.refusal('--node', 'alice', 'stop', 'chatty')).toBe('role_required')
  await mallory.must('connect', await addressOf(bob))
  await mallory.must('connect', await addressOf(carol))
  const lost = await addressOf(carol)
  await carol.kill()
  const before = await networkKeyOf(alice)
  expect(await networkKeyOf(mallory)).toBe(before)

  const following = mallory.spawn('--node', 'alice', 'logs', 'chatty', '--follow', '--json')
  const ended = once(following, 'close')
  following.stderr.resume()
  await once(following.stdout, 'data')
  let last = ''
  following.stdout.setEncoding('utf8').on('data', (text: string) => {
    last = text
  })
  const removal = await alice.ask('node', 'remove', 'mallory', '--yes', '--json')
  expect(removal).toMatchObject({ network_key: 1, problem: null })
  expect((await ended)[0]).toBe(4)
  expect(last).toContain('peer_refused')
  const gone = ids.get(mallory) as string
  for (const home of [alice, bob]) await until(async () => expect(await peersOf(home)).not.toContain(gone))
  const after = await networkKeyOf(alice)
  expect(after).not.toBe(before)
  await until(async () => expect(await networkKeyOf(bob)).toBe(after))

  await carol.must('daemon', 'start')
  await until(async () => expect(await networkKeyOf(carol)).toBe(after))
  await until(async () => expect((await nodesOf(carol)).map(({ name }) => name)).toEqual(['alice', 'bob', 'carol']))
  await until(async () => expect((await carol.status()).standing.current).toBe(true))
  for (const address of [lost, await addressOf(alice)])
    expect(await mallory.refusal('connect', address)).toMatch(/^(peer_refused|network_key_mismatch|admission_refused)$/)
  expect(await peersOf(carol)).not.toContain(gone)
  expect(await networkKeyOf(mallory)).toBe(before)
  await until(async () => expect((await statusOf(mallory)).problems.join()).toMatch(/admit|removed/))
  expect(await mallory.refusal('--node', 'alice', 'status')).not.toBe('no error')
})

test('refusals and changes stand in the audit log, whose chain is whole', async () => {
  const gone = ids.get(mallory) as string
  const entries = await entriesOf(alice)
  const about = (what: string, outcome: string, by: string) =>
    entries.filter((entry) => entry.what === what && entry.outcome === outcome && entry.by === by)
  const self = ids.get(alice) as string
  expect(about('join', 'allowed', gone)).toHaveLength(1)
  expect(about('call', 'refused', gone).map(({ reason }) => reason)).toContainEqual(expect.stringContaining('operator'))
  expect(about('connection', 'refused', gone).length).toBeGreaterThan(0)
  expect(about('statement', 'done', self).map(({ subject }) => subject)).toEqual(
    expect.arrayContaining([expect.stringContaining('node-remove'), expect.stringContaining('network-key')]),
  )
  expect(entries.some(({ what, outcome }) => what === 'rollout' && outcome === 'done')).toBe(true)
  for (const home of [alice, bob, carol]) {
    const verified = await home.ask('audit', 'verify', '--json')
    expect(verified).toMatchObject({ ok: true, problems: [] })
  }
})

test('an edited line of the audit log is found, by the daemon and without one', async () => {
  const file = join(bob.folder, 'audit.log')
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.replace('"outcome":"allowed"', '"outcome":"refused"'))
  expect(await bob.refusal('audit', 'verify')).toBe('audit_broken')
  await bob.kill()
  const offline = await bob.run('audit', 'verify', '--json')
  expect(offline.code).toBe(5)
  await writeFile(file, (await readFile(file, 'utf8')).replace('"outcome":"refused"', '"outcome":"allowed"'))
  expect((await bob.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
  await bob.must('daemon', 'start')
  await untilSees(bob, ['alice', 'bob', 'carol'])
})

test('an end that is written anew with right hashes shows by what others keep, and by that alone', async () => {
  const self = ids.get(alice) as string
  const removed = (await entriesOf(alice)).find(({ subject }) => subject.startsWith('node-remove')) as Entry
  const kept = async () =>
    (await bob.ask<{ node: string; newest: { seq: number } | null }[]>('audit', 'heads', '--json')).find(
      ({ node }) => node === self,
    )?.newest?.seq ?? 0
  await until(async () => expect(await kept()).toBeGreaterThanOrEqual(removed.seq))
  await alice.kill()
  await rewriteFrom(alice, removed.seq)
  await alice.must('daemon', 'start')
  expect(await alice.ask('audit', 'verify', '--json')).toMatchObject({ ok: true, problems: [] })
  await untilSees(alice, ['alice', 'bob', 'carol'])
  expect(await alice.refusal('audit', 'verify', '--peers')).toBe('audit_broken')
})

/** What a thief of the machine does: another story from an entry on, each hash and the signed head as they should be. */
async function rewriteFrom(home: Home, seq: number): Promise<void> {
  const file = join(home.folder, 'audit.log')
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  let prev = ''
  const rewritten = lines.map((line) => {
    const entry = decodeLine(Buffer.from(line))
    if ('fault' in entry) throw new Error(entry.fault)
    const subject = entry.seq >= seq ? 'nothing to see' : entry.subject
    const next = encodeLine(
      { ...entry, timeMs: Date.parse(entry.time), subject },
      { seq: entry.seq, prev: prev === '' ? entry.prev : prev },
    )
    prev = next.hash
    return next.line
  })
  await writeFile(file, `${rewritten.join('\n')}\n`)
  const signer = await loadSigner(join(home.folder, 'keys', 'node.key'))
  const head = { node: ids.get(home) as string, seq: lines.length, hash: prev, timeMs: Date.now() }
  await writeFile(ownHeadPath(file), `${JSON.stringify(encodeHead(signHead(head, signer)))}\n`)
}
