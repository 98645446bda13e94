/** Deploying from a machine that has a token and nothing else, with the real program. */
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endOf, errorOf, type Row } from './fleet-of.ts'
import { createHomes, type Home, type Homes, until } from './homes.ts'

interface TokenRow {
  readonly name: string
  readonly token: string
  readonly state: string
}

let homes: Homes
let alice: Home
let bob: Home
let job: Home
let temporary: string
const files = new Map<string, string>()
beforeAll(async () => {
  homes = await createHomes()
  alice = await homes.add('alice')
  await homes.found(alice)
  bob = await homes.join(alice, 'bob')
  job = await homes.add('job')
  temporary = join(homes.folder, 'temporary')
  await mkdir(temporary)
  for (const app of ['api', 'web']) files.set(app, await homes.pack(alice, `${app} 1.0.0`))
})
afterAll(() => homes?.cleanup(), 60_000)

const create = (name: string, ...words: string[]) =>
  alice.ask<TokenRow>('token', 'create', name, '--app', 'api', ...words, '--json')

/** Runs a command as a job does, and looks that it leaves nothing: neither a home nor a temporary one. */
async function inJob(token: string, ...words: string[]) {
  const result = await job.runWith({ env: { WARREN_TOKEN: token, TMPDIR: temporary } }, ...words, '--json')
  expect(await readdir(temporary)).toEqual([])
  expect(await readdir(homes.folder)).not.toContain('job')
  return result
}

test('a token deploys its app from a machine without a home, sees it, and may nothing with another', async () => {
  const { token } = await create('ci')
  const deployed = await inJob(token, 'deploy', files.get('api') as string, '--all')
  expect({ out: deployed.out, err: deployed.err, code: deployed.code }).toMatchObject({ code: 0 })
  expect(endOf(deployed).results.map(({ node, ok }) => [node, ok])).toEqual([
    ['alice', true],
    ['bob', true],
  ])
  const seen = (await inJob(token, '--node', 'alice', 'list')).json<Row[]>()
  expect(seen.map(({ app }) => app)).toEqual(['api', 'api'])
  const web = await inJob(token, 'deploy', files.get('web') as string, '--all')
  expect([web.code, errorOf(web).code]).toEqual([4, expect.stringMatching(/^(role_required|rollout_forbidden)$/)])
  const invite = await inJob(token, '--node', 'alice', 'invite')
  expect([invite.code, errorOf(invite).code]).toEqual([4, expect.stringMatching(/^(role_required|local_only)$/)])
  const rows = await bob.ask<Row[]>('list', '--on', 'bob', '--json')
  expect(rows.map(({ app, version, status }) => [app, version, status])).toEqual([['api', '1.0.0', 'running']])
  const nodes = await alice.ask<{ name: string }[]>('nodes', '--json')
  expect(nodes.map(({ name }) => name)).toEqual(['alice', 'bob'])
})

test('a token that was removed, has expired or is none is refused, and says which', async () => {
  const removed = await create('gone')
  await alice.must('token', 'remove', 'gone', '--json')
  const first = await inJob(removed.token, '--node', 'alice', 'list')
  expect([first.code, errorOf(first)]).toMatchObject([
    4,
    { code: 'token_unusable', message: expect.stringContaining('removed') },
  ])
  const short = await create('short', '--expires', '1s')
  const state = async () =>
    (await alice.ask<TokenRow[]>('tokens', '--json')).find(({ name }) => name === 'short')?.state
  await until(async () => expect(await state()).toBe('expired'))
  const late = await inJob(short.token, '--node', 'alice', 'list')
  expect([late.code, errorOf(late)]).toMatchObject([
    4,
    { code: 'token_unusable', message: expect.stringContaining('expired') },
  ])
  const mistyped = await inJob(`${short.token.slice(0, -1)}?`, '--node', 'alice', 'list')
  expect(errorOf(mistyped).code).toBe('token_invalid')
  expect((await alice.ask<TokenRow[]>('tokens', '--json')).map(({ name }) => name)).toEqual(['ci', 'short'])
})
