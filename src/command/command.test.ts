import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WarrenError } from '../base/errors.ts'
import { nearest } from './help.ts'
import {
  choice,
  defineCommand,
  describeTransfer,
  duration,
  type Frame,
  flag,
  integer,
  list,
  printable,
  runWords,
} from './index.ts'
import { createProgress } from './progress.ts'
import { createStyle } from './style.ts'
import { renderTable } from './table.ts'

const echo = defineCommand({
  name: 'app start',
  aliases: ['start'],
  summary: 'Start an app',
  arguments: [
    { name: 'app', description: 'name of the app' },
    { name: 'more', description: 'others', optional: true, rest: true },
  ],
  options: {
    on: list({ value: 'NODE', description: 'where' }),
    all: flag({ short: 'a', description: 'everywhere' }),
    tail: integer({ description: 'lines' }),
    maxWait: duration({ description: 'how long' }),
    kind: choice(['one', 'two'], { description: 'which' }),
  },
  examples: [{ does: 'start api', words: 'app start api' }],
  run: async ({ args, options, context }) => ({
    json: { args, options, home: context.home, remote: context.remote },
    human: { columns: [{ title: 'APP' }, { title: 'N', align: 'right' }], rows: [[args.app, '1']] },
  }),
})
const failing = defineCommand({
  name: 'fail',
  summary: 'Fail',
  examples: [{ does: 'fail', words: 'fail' }],
  run: async () => {
    throw new WarrenError('app_not_found', 404, 'no app "api"', { hint: 'See: warren list' })
  },
})
const counting = defineCommand({
  name: 'count',
  summary: 'Count',
  examples: [{ does: 'count', words: 'count' }],
  async *run() {
    yield { json: { n: 1 }, human: 'one' }
    yield { json: { n: 2 } }
    yield { exitCode: 6 }
  },
})
const hostile = defineCommand({
  name: 'hostile',
  summary: 'Prints what it was told',
  examples: [],
  run: async () => ({
    json: null,
    human: '\u001b[31mred\u001b[39m \u001bc\u001b[2J\u001b]0;title\u0007\nnext',
  }),
})
const acting = defineCommand({
  name: 'act',
  summary: 'Act as a node',
  examples: [],
  options: { fail: flag({ description: 'fail' }) },
  run: async ({ options, context }) => {
    const homes = await Promise.all([context.nodeHome(), context.nodeHome()])
    if (options.fail) throw new WarrenError('app_not_found', 404, 'no app "api"')
    return { json: { homes, temporary: context.temporary } }
  },
})
const entries = [echo, failing, counting, hostile, acting].map((command) => ({
  name: command.name,
  aliases: command.aliases ?? [],
  summary: command.summary,
  load: async () => command,
}))

async function warren(line: string, tty = false, changes: Partial<Frame> = {}) {
  const stdout = Object.assign(new PassThrough(), { isTTY: tty })
  const stderr = Object.assign(new PassThrough(), { isTTY: tty })
  const frame: Frame = {
    entries,
    version: 'warren 1',
    env: { WARREN_HOME: '/h' },
    cwd: '/',
    stdin: Readable.from([]),
    stdout,
    stderr,
    program: ['node'],
    signal: new AbortController().signal,
    ...changes,
  }
  const code = await runWords(
    frame,
    line.split(' ').filter((word) => word !== ''),
  )
  stdout.end()
  stderr.end()
  return {
    code,
    out: Buffer.concat(await stdout.toArray()).toString(),
    err: Buffer.concat(await stderr.toArray()).toString(),
  }
}

test('arguments and options reach the command with their types', async () => {
  const { code, out } = await warren('start api b c --on n1 --on=n2 -a --tail 5 --max-wait 1m30s --kind two --json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toEqual({
    args: { app: 'api', more: ['b', 'c'] },
    options: { on: ['n1', 'n2'], all: true, tail: 5, maxWait: 90_000, kind: 'two' },
    home: '/h',
    remote: false,
  })
})

test('options of every command may stand before or behind the command', async () => {
  expect(JSON.parse((await warren('--home /x --node n --json app start api')).out)).toMatchObject({
    home: '/x',
    remote: true,
  })
  expect(JSON.parse((await warren('app start api --json --home=/y')).out)).toMatchObject({
    home: '/y',
    options: { on: [], all: false },
  })
})

test.each([
  ['start', 'missing required argument'],
  ['start api --tail x', 'whole number'],
  ['start api --max-wait 5', 'time such as'],
  ['start api --kind three', 'one, two'],
  ['start api --al', '--all'],
  ['start api --home', 'argument missing'],
  ['--home', 'needs a value'],
  ['--nope start', 'unknown option --nope'],
])('wrong words are refused with what is wrong: %s', async (line, said) => {
  const { code, out, err } = await warren(line)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain('option_invalid')
  expect(err).toContain(said)
})

test('an unknown command names the nearest ones', async () => {
  const { code, err } = await warren('app strat api')
  expect(code).toBe(2)
  expect(err).toContain('warren app start')
})

test('an error goes to stderr for a person and to stdout as JSON, with its exit code', async () => {
  const person = await warren('fail')
  expect(person).toEqual({ code: 3, out: '', err: 'error  app_not_found   no app "api"\n       See: warren list\n' })
  const script = await warren('fail --json')
  expect(script.err).toBe('')
  expect(JSON.parse(script.out)).toEqual({
    error: { code: 'app_not_found', message: 'no app "api"', hint: 'See: warren list' },
  })
})

test('a stream prints lines for a person or JSON lines, and its last line gives the exit code', async () => {
  expect(await warren('count')).toEqual({ code: 6, out: 'one\n', err: '' })
  expect(await warren('count --json')).toEqual({ code: 6, out: '{"n":1}\n{"n":2}\n', err: '' })
})

test('a piped table has no colours and a terminal’s has a bold head', async () => {
  expect((await warren('start api')).out).toBe('APP  N\napi  1\n')
  expect((await warren('start api', true)).out).toContain('\u001b[1mAPP  N\u001b[22m')
})

test('help lists the commands, a group lists its own, a command shows its examples', async () => {
  expect((await warren('--help')).out).toContain('Start an app')
  expect(await warren('app')).toMatchObject({ code: 2, out: '' })
  const { code, out } = await warren('app start --help')
  expect(code).toBe(0)
  expect(out).toContain('# start api\n  warren app start api')
  expect(out).toContain('--max-wait <TIME>')
})

test('columns line up whatever the cells hold', () => {
  const cell = fc.string({ unit: 'grapheme-ascii', maxLength: 12 }).map((text) => text.trim())
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1 }), (rows) => {
      const lines = renderTable({ columns: [{ title: 'A' }, { title: 'B' }], rows }, createStyle(false)).split('\n')
      const width = Math.max(1, ...rows.map(([a]) => a.length))
      expect(lines).toHaveLength(rows.length + 1)
      for (const [index, [a, b]] of rows.entries()) expect(lines[index + 1]).toBe(`${a.padEnd(width)}  ${b}`.trimEnd())
    }),
  )
})

test('text of strangers cannot turn its direction round nor begin a line of its own', () => {
  expect(printable('a\u202ecod.exe\u2066\nnode-2  healthy\tx')).toBe('a\ufffdcod.exe\ufffd node-2  healthy x')
})

test('a command that prints what it was told cannot be made to move the cursor; its own colours stay', async () => {
  const { out } = await warren('hostile')
  expect(out).toBe('\u001b[31mred\u001b[39m \ufffdc\ufffd[2J\ufffd]0;title\ufffd\nnext\n')
})

test('text of strangers cannot move the cursor or colour the screen', () => {
  expect(printable('\u001b[31mred\u001b[0m\rback\u0007')).toBe('red�back�')
})

test('live lines are redrawn in place on a terminal and never written to a pipe', () => {
  const written: string[] = []
  const terminal = { isTTY: true, columns: 10, write: (text: string) => written.push(text) }
  const progress = createProgress(terminal, true)
  progress.show(['a line too long for it'])
  progress.show(['b'])
  progress.clear()
  expect(written).toEqual(['a line to\n', '\u001b[1A\u001b[0J', 'b\n', '\u001b[1A\u001b[0J'])
  const piped: string[] = []
  createProgress({ write: (text: string) => piped.push(text) }, true).show(['x'])
  expect(piped).toEqual([])
})

test('a transfer is described by bytes, share, rate and time left', () => {
  expect(describeTransfer(3_000_000, 12_000_000, 2000)).toBe('3 MB of 12 MB  25 %  1.5 MB/s  6.0 s left')
  expect(describeTransfer(0, 0, 0)).toBe('0 B of 0 B  100 %')
})

test('the nearest names come first', () => {
  expect(nearest('lsit', ['list', 'logs', 'status'])).toEqual(['list'])
  expect(nearest('zzz', ['list', 'logs'])).toEqual([])
})

function tokenNodes() {
  const log: string[] = []
  const tokenNode: Frame['tokenNode'] = async (token) => {
    log.push(`start ${token}`)
    return { home: '/token', stop: async () => void log.push('stop') }
  }
  return { log, changes: { tokenNode, env: { WARREN_HOME: '/h', WARREN_TOKEN: 'WRT-x' } } }
}

test('with WARREN_TOKEN a command acts as a node of its own, which ends with it, also when it fails', async () => {
  const { log, changes } = tokenNodes()
  expect(JSON.parse((await warren('act --json', false, changes)).out)).toEqual({
    homes: ['/token', '/token'],
    temporary: true,
  })
  expect(log).toEqual(['start WRT-x', 'stop'])
  expect((await warren('act --fail', false, changes)).code).toBe(3)
  expect(log).toEqual(['start WRT-x', 'stop', 'start WRT-x', 'stop'])
})

test('a command that needs no node brings none up, and a home that is named outranks the token', async () => {
  const { log, changes } = tokenNodes()
  await warren('count', false, changes)
  expect(JSON.parse((await warren('--home /x act --json', false, changes)).out)).toEqual({
    homes: ['/x', '/x'],
    temporary: false,
  })
  expect(log).toEqual([])
})

test('beside a daemon of this home the token says once that it is the one who acts', async () => {
  const { changes } = tokenNodes()
  const home = await mkdtemp(join(tmpdir(), 'warren-kit-'))
  try {
    await mkdir(join(home, 'run'))
    await writeFile(join(home, 'run', 'daemon.sock'), '')
    const { err } = await warren('act', false, { ...changes, env: { ...changes.env, WARREN_HOME: home } })
    expect(err.match(/WARREN_TOKEN is set/g)).toHaveLength(1)
    expect(err).toContain(home)
  } finally {
    await rm(home, { recursive: true })
  }
})

test('a token that cannot be used fails the command with its reason', async () => {
  const { changes } = tokenNodes()
  const tokenNode: Frame['tokenNode'] = async () => {
    throw new WarrenError('token_unusable', 403, 'it was removed')
  }
  const { code, err } = await warren('act', false, { ...changes, tokenNode })
  expect([code, err]).toEqual([4, expect.stringContaining('token_unusable')])
})
