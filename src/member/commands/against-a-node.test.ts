import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { createRouter } from '../../api/index.ts'
import { silentLogger } from '../../base/log.ts'
import { runWords } from '../../command/index.ts'
import { decodeJoinCode, decodeToken, rootSignerOf } from '../../identity/index.ts'
import { startLocalServer } from '../../ops/index.ts'
import { type Cleanups, foundHome, strangerId } from '../fixtures/home.ts'
import { memberRoutes } from '../routes.ts'
import { joinCommands, memberCommands } from './index.ts'

const cleanups: Cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const entries = [
  ...memberCommands,
  ...joinCommands({ sections: async () => [], startDaemon: () => Promise.reject(new Error('nothing is started')) }),
]

/** A node that answers on its own socket, and a way to say words to it. */
async function node() {
  const home = await foundHome(cleanups)
  const router = createRouter({ routes: memberRoutes({ ...home, maxStaleMs: 1 }), log: silentLogger })
  const caller = { door: 'local', id: home.nodeId, rights: { role: 'admin', grants: [] } } as const
  const door = await startLocalServer({
    home: home.folder,
    env: {},
    handle: (request, response) => void router.handle(request, response, caller),
  })
  cleanups.push(() => door.stop())
  const say = async (
    words: string,
    { stdin = '', env = {} }: { stdin?: string; env?: Record<string, string> } = {},
  ) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()]
    const frame = { entries, version: '0.1.0', env: { WARREN_HOME: home.folder, ...env }, cwd: home.folder }
    const streams = { stdin: Readable.from(stdin === '' ? [] : [stdin]), stdout, stderr }
    const signal = new AbortController().signal
    const exitCode = await runWords({ ...frame, ...streams, program: ['warren'], signal }, words.split(' '))
    const out = String(stdout.read() ?? '')
    return { exitCode, out: out.trimEnd(), err: String(stderr.read() ?? '') }
  }
  return { ...home, say }
}

test('an invite where no terminal is gives the bare code on standard output, and talk on standard error', async () => {
  const { say, roster } = await node()
  const { exitCode, out, err } = await say('invite --non-interactive --name pi --label site=home --ttl 10m')
  expect(exitCode).toBe(0)
  expect(decodeJoinCode(out).networkId).toBe(roster.networkId)
  expect(out).toMatch(/^WRN-[0-9A-Z]+$/)
  expect(err).toMatch(
    /^pi joins as member, site=home; it works once, until .* UTC\. Take it back: warren uninvite [0-9a-f]{8}\n$/,
  )
  expect(err).not.toContain(out)
  const [, id] = /uninvite ([0-9a-f]+)/.exec(err) ?? []
  expect(JSON.parse((await say('invites --json')).out)).toMatchObject([{ name: 'pi', state: 'open', uses: 1 }])
  expect((await say('invites')).out).toMatch(new RegExp(`${id} +open +member +pi +0/1`))
  expect((await say(`uninvite ${id}`)).out).toBe(`invite ${id} works no more`)
  expect((await say('invites')).out).toMatch(/closed/)
})

test('a name for many is refused before anything is made', async () => {
  const { say, roster } = await node()
  const { exitCode, err } = await say('invite --name pi --uses 2')
  expect(exitCode).toBe(2)
  expect(err).toContain('invalid_value')
  expect(roster.state.invites.size).toBe(0)
})

test('a node is added, named, labelled, given rights and removed, each told in a line', async () => {
  const { say } = await node()
  const id = await strangerId(cleanups)
  expect((await say(`node add ${id} --name pi --label site=home`)).out).toBe('pi is member')
  expect((await say('node rename pi kitchen')).out).toBe('pi is named kitchen')
  expect((await say('node label kitchen tier=web site-')).out).toBe('kitchen: tier=web')
  expect((await say('grant kitchen operator --app api --app web-*')).out).toBe(
    'kitchen is member; operator of api, web-*',
  )
  expect((await say('node info kitchen')).out).toMatch(
    /may also +operator of api, web-\*\n.*changed by +alpha, revision 4/s,
  )
  expect((await say('revoke kitchen --app web-*')).out).toBe('kitchen is member; operator of api')
  expect((await say('grant kitchen viewer')).out).toBe('kitchen is viewer; operator of api')
  expect((await say('revoke kitchen')).out).toBe('kitchen is member')
  expect((await say('nodes')).out).toMatch(/kitchen +member +down/)
  expect((await say('node remove kitchen')).out).toBe('kitchen was removed; the network key is now number 1')
  expect(await say('grant kitchen viewer')).toMatchObject({
    exitCode: 3,
    err: expect.stringContaining('node_not_found'),
  })
  expect(await say('grant alpha king')).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('"king" is no role'),
  })
})

test('an expiry is shown where one has it', async () => {
  const { say } = await node()
  await say(`node add ${await strangerId(cleanups)} --name guest --expires 30d`)
  // The home's clock stands in the past.
  expect((await say('nodes')).out).toMatch(/VERSION +EXPIRES +LABELS[\s\S]*guest.* ago/)
})

test('a token is given bare where no terminal is, and never shown again', async () => {
  const { say } = await node()
  const { out, err } = await say('token create ci --role operator --app api')
  expect(decodeToken(out).seed).toHaveLength(32)
  expect(err).toContain('WARREN_TOKEN=')
  expect(err).not.toContain(out)
  expect((await say('tokens')).out).toMatch(/ci +operator +api +valid/)
  expect(JSON.parse((await say('tokens --json')).out)).toMatchObject([{ name: 'ci', role: 'operator', apps: ['api'] }])
  expect((await say('token remove ci')).out).toBe('ci works no more')
  expect((await say('tokens')).out).toBe('no deploy tokens; make one: warren token create NAME')
})

test('trust is shown in words', async () => {
  const { say, roster } = await node()
  const { out } = await say('trust status')
  expect(out).toContain(`network      ${roster.networkId}`)
  expect(out).toMatch(
    /standing {5}current, .*\nadmin heard .*\nnetwork key {2}number 0\nadmin {8}alpha {2}key [0-9a-f]{8} {2}2 statements/,
  )
  const log = (await say('trust log --tail 1')).out
  expect(log).toMatch(/alpha +2 +signing key of alpha is trusted/)
  expect((await say('trust rotate-key')).out).toBe('the network key is now number 1')
  expect(JSON.parse((await say('trust accept-head --json')).out)).toEqual({ seq: 3 })
})

test('recovery reads the phrase from standard input or a file, and shows a new one before it counts', async () => {
  const { say, folder, roster, recoveryPhrase } = await node()
  const wrong = await say('trust recover', { stdin: 'AAAA BBBB\n' })
  expect(wrong).toMatchObject({ exitCode: 2, err: expect.stringContaining('recovery_phrase_invalid') })
  expect(wrong.err + wrong.out).not.toContain('BBBB')
  const first = await say('trust recover --new-phrase', { stdin: `${recoveryPhrase}\n` })
  expect(first.exitCode).toBe(0)
  expect(first.err).toContain('The root key signs:')
  const next = /^ {2}((?:[0-9A-Z]{4} ?){13})$/m.exec(first.out)?.[1] as string
  expect(Buffer.from(rootSignerOf(next).publicKey).equals(roster.state.root)).toBe(true)
  expect(first.out).toMatch(
    /\n\nthis node is an admin of its network\nthe network key is now number 1\nNext, .*: warren trust checkpoint$/,
  )
  expect(first.out + first.err).not.toContain(recoveryPhrase)
  const path = join(folder, 'phrase')
  await writeFile(path, `${next}\n`)
  const lines = (await say('trust recover --json --phrase-file phrase')).out.split('\n').map((line) => JSON.parse(line))
  expect(lines).toMatchObject([{ statements: 1 }, { removed: [], network_key: 2 }])
  const before = roster.size
  const { held, dropped } = JSON.parse((await say('trust checkpoint --json --phrase-file phrase')).out)
  expect(held).toBe(roster.size)
  expect(held + dropped).toBeGreaterThan(before)
})

test('joining asks for a code, takes it from a variable, and leaves a home that is in use alone', async () => {
  const { say, folder, keysFolder } = await node()
  expect(await say('join')).toMatchObject({ exitCode: 2, err: expect.stringContaining('invite_missing') })
  const bad = await say('join', { env: { WARREN_INVITE: 'WRN-SECRETSECRET' } })
  expect(bad).toMatchObject({ exitCode: 2, err: expect.stringContaining('join_code_invalid') })
  expect(bad.err).not.toContain('SECRETSECRET')
  const code = (await say('invite --non-interactive')).out
  const taken = await say('join -', { stdin: `${code}\n` })
  expect(taken).toMatchObject({ exitCode: 5, err: expect.stringMatching(/roster_exists|key_exists/) })
  expect(taken.err).toContain(keysFolder.slice(0, -'keys'.length))
  await writeFile(join(folder, 'config.yaml'), 'version: 1\n')
  expect(await say(`join ${code} --no-start`)).toMatchObject({
    exitCode: 5,
    err: expect.stringContaining('home_taken'),
  })
})

test('statements are exported one a line, and taken in from standard input', async () => {
  const [one, other] = [await node(), await node()]
  const { out } = await one.say('trust export')
  expect(out.split('\n')).toHaveLength(1 + one.roster.size)
  expect((await one.say('trust import -', { stdin: `${out}\n` })).out).toBe('nothing new')
  const strange = await other.say('trust import - --json', { stdin: out })
  expect(JSON.parse(strange.out)).toMatchObject({ added: 0, waiting: 0 })
  expect(strange.err).toContain('refused: ')
})
