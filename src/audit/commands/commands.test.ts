import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiClient, apiErrors, type Route } from '../../api/index.ts'
import type { AnyCommand, CommandContext, CommandResult, StreamLine } from '../../command/index.ts'
import { createStyle } from '../../command/index.ts'
import { openAudit } from '../audit.ts'
import { auditOptions, decision, linesOf, tempFolder, writeLines, writtenLog } from '../fixtures.ts'
import { auditRoutes } from '../routes.ts'
import { auditCommands } from './index.ts'

let home: string
let remove: () => Promise<void>
let said: string[]
beforeEach(async () => {
  ;({ folder: home, remove } = await tempFolder())
  said = []
})
afterEach(() => remove())

/** A client whose calls go straight to the routes. */
function clientOf(routes: readonly Route[]): ApiClient {
  const handle = (call: Route['call'], { query = {} }: { query?: object }) => {
    const parsed = call.query?.parse(query)
    const signal = new AbortController().signal
    return routes.find((route) => route.call === call)?.handle({ query: parsed, signal } as never)
  }
  return {
    call: async (call: Route['call'], input: object) => handle(call, input),
    stream: (call: Route['call'], input: object) => handle(call, input),
    close: () => undefined,
  } as unknown as ApiClient
}

async function start(name: string, options: object, client?: ApiClient) {
  const command = (await auditCommands.find((entry) => entry.name === name)?.load()) as AnyCommand
  const context = {
    home,
    nodeHome: async () => home,
    cwd: home,
    env: {},
    remote: false,
    style: createStyle(false),
    say: (line: string) => said.push(line),
    signal: new AbortController().signal,
    connect: async () => {
      if (client === undefined) throw apiErrors.daemon_not_running('no daemon')
      return client
    },
  } as unknown as CommandContext
  return command.run({ args: {}, options, context } as unknown as Parameters<AnyCommand['run']>[0])
}

async function tail(options: object, client?: ApiClient): Promise<StreamLine[]> {
  const lines: StreamLine[] = []
  const given = { follow: false, tail: undefined, since: undefined, file: undefined, ...options }
  for await (const line of (await start('audit tail', given, client)) as AsyncIterable<StreamLine>) lines.push(line)
  return lines
}

async function verify(options: object, client?: ApiClient): Promise<CommandResult> {
  return (await start('audit verify', { peers: false, file: undefined, ...options }, client)) as CommandResult
}

test('the entries name their commands', async () => {
  for (const entry of auditCommands) {
    const command = await entry.load()
    expect([command.name, command.summary, command.aliases]).toEqual([entry.name, entry.summary, entry.aliases])
  }
})

test('without a daemon the files of the home are read and verified, and it says so', async () => {
  const file = await writtenLog(home, 60)
  const lines = await tail({})
  expect(lines).toHaveLength(50)
  expect(lines.at(-1)).toMatchObject({
    json: { seq: 61, by: 'local', by_name: 'local' },
    human: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}done {5}call +local +POST \/v1\/app\/a59\/stop$/),
  })
  expect(said).toEqual([expect.stringContaining(file)])
  expect(await tail({ tail: 2, file: 'audit.log' })).toHaveLength(2)
  expect(await tail({ since: '1h' })).toHaveLength(61)
  expect(await tail({ since: '2999-01-01T00:00:00Z' })).toHaveLength(0)
  await expect(tail({ since: 'soon' })).rejects.toMatchObject({ code: 'audit_time_invalid' })
  expect(await verify({})).toMatchObject({ json: { ok: true, entries: 61 }, human: expect.stringMatching(/^✓ whole/) })
  await expect(verify({ peers: true })).rejects.toMatchObject({ code: 'daemon_not_running' })
  await expect(tail({ follow: true })).rejects.toMatchObject({ code: 'daemon_not_running' })
  await expect(verify({ file: join(home, 'none.log') })).rejects.toMatchObject({ code: 'audit_not_found' })
})

test('a broken log fails, with the first bad entry in its message and all of it in the details', async () => {
  const file = await writtenLog(home, 5)
  await writeLines(file, (await linesOf(file)).toSpliced(2, 1))
  await expect(verify({})).rejects.toMatchObject({
    code: 'audit_broken',
    message: expect.stringContaining('entry 3: '),
    details: { ok: false, problems: [{ seq: 3 }] },
  })
  expect(said.some((line) => line.includes('entries 3 to 3 are missing'))).toBe(true)
})

test('with a daemon its answers are shown, with names and folded refusals', async () => {
  const audit = await openAudit(auditOptions(home))
  const by = '12D3KooWPeer'
  audit.tell(decision(1))
  for (let number = 0; number < 30; number++) {
    audit.tell({ what: 'call', outcome: 'refused', by, subject: 'POST /v1/x', reason: 'role_required: no\u001b[2J' })
  }
  await audit.stop()
  const none = { list: async () => [], ask: async () => [{ node: by, failure: 'timed out' }] }
  const nameOf = (id: string) => (id === by ? 'office' : id)
  const client = clientOf(auditRoutes({ audit, heads: none as never, nameOf }))
  const lines = await tail({ tail: 1 }, client)
  expect(lines).toMatchObject([{ json: { by_name: 'office', count: 10 } }])
  expect(lines[0]?.human).toMatch(/refused {2}call +office +POST \/v1\/x ×10 {2}role_required: no/)
  expect(await readFile(join(home, 'audit.log'), 'utf8')).not.toContain('\u001b')
  const verdict = await verify({ peers: true }, client)
  expect(verdict.human).toMatch(/office keeps no head: timed out/)
  const heads = (await start('audit heads', {}, client)) as CommandResult
  expect(heads.json).toEqual([])
})
