/** No secret is where it does not belong: not in a log, an answer, an error, an argument list or a rollout. */
import { hash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listProcesses } from '../../src/base/proc.ts'
import { mapLimited, sleep } from '../../src/base/wait.ts'
import { rawPrivateKey } from '../../src/identity/index.ts'
import { decodeJoinCode } from '../../src/identity/join-code.ts'
import { decodeToken } from '../../src/identity/token.ts'
import { programPath } from '../program.ts'
import { createHomes, type Home, type Homes, inviteFrom, type Said, until, untilAgree, untilSees } from './homes.ts'

const PASSPHRASE = 'correct horse battery staple of alice'

/** What nobody may see, but as the result of the commands by which it is shown. */
interface Secret {
  readonly what: string
  readonly forms: readonly string[]
  readonly shownBy: (said: Said) => boolean
}

let homes: Homes
let alice: Home
let bob: Home
const secrets: Secret[] = []
/** Argument lists of the program's processes as `ps` shows them, in the order in which each had them. */
const commandLines = new Map<number, string[]>()
let watching = true
let watcher: Promise<void>

beforeAll(async () => {
  homes = await createHomes()
  watcher = watchCommandLines()
  alice = await homes.add('alice')
  const { recovery_phrase: phrase } = await homes.found(alice)
  keep('recovery phrase', [phrase, phrase.replaceAll(' ', '')], (said) => said.words[0] === 'init')
  await keepKeys(alice)
  bob = await homes.join(alice, 'bob', '--role', 'viewer')
})
afterAll(async () => {
  watching = false
  await watcher
  await homes?.cleanup()
})

function keep(what: string, forms: string[], shownBy: (said: Said) => boolean = () => false): void {
  secrets.push({ what, forms, shownBy })
}

/** A secret of bytes, in the ways in which it could be written. */
function formsOf(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes)
  const base64 = buffer.toString('base64').replace(/=+$/, '')
  return [buffer.toString('hex'), base64, buffer.toString('base64url')]
}

/** Seeds, PEM bodies and network keys as they are in a home now. */
async function keepKeys(home: Home): Promise<void> {
  const folder = join(home.folder, 'keys')
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.key'))) {
    const path = join(folder, file)
    const text = await readFile(path, 'utf8')
    const what = `${file} of ${home.name}`
    if (/^[0-9a-f]{64}\s*$/.test(text)) keep(what, formsOf(Buffer.from(text.trim(), 'hex')))
    else if (text.includes('BEGIN PRIVATE KEY')) {
      keep(what, [text.split('\n')[1] as string, ...formsOf(await rawPrivateKey(path))])
    }
  }
  const cookie = await readFile(join(home.folder, 'run', 'daemon.cookie'), 'utf8').catch(() => undefined)
  if (cookie !== undefined) keep(`cookie of ${home.name}`, [cookie.trim()])
}

/** Looks for as long as the test runs; the shortest command takes a tenth of a second. */
async function watchCommandLines(): Promise<void> {
  const program = await programPath()
  while (watching) {
    for (const { pid } of await listProcesses()) {
      const line = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).replaceAll('\0', ' ').trim()
      if (!line.includes(program) && !line.startsWith('warren')) continue
      const before = commandLines.get(pid) ?? []
      if (before.at(-1) !== line) commandLines.set(pid, [...before, line])
    }
    await sleep(30)
  }
}

/** Every file that a program wrote for people or for other nodes, of every home. */
async function written(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const name of await readdir(homes.folder, { recursive: true })) {
    if (!/daemon\.log|audit|rollouts\/|roster\/|config\.yaml|state\.db|instance\.json|\.sig$/.test(name)) continue
    const path = join(homes.folder, name)
    if ((await stat(path)).isFile()) found.set(name, await readFile(path, 'latin1'))
  }
  return found
}

test('codes, tokens, phrases, passphrases and keys are used in every way that there is', async () => {
  const code = await inviteFrom(alice, '--name', 'carol')
  const carol = await homes.add('carol')
  // As an argument, which others on the machine could see for as long as it runs.
  await carol.must('join', code, '--json')
  const isInvite = ({ words }: Said): boolean => words[0] === 'invite'
  keep('join code', [code, code.slice('WRN-'.length), ...formsOf(decodeJoinCode(code).secret)], isInvite)
  expect((await bob.runWith({ input: `${code}\n` }, 'join', '-', '--json')).code).not.toBe(0)
  const dave = await homes.add('dave')
  expect(await dave.refusal('join', `${code.slice(0, -1)}?`)).toBe('join_code_invalid')
  expect(await dave.refusal('join', code)).toBe('invite_used')

  const { token } = await alice.ask<{ token: string }>('token', 'create', 'ci', '--app', 'api', '--json')
  keep(
    'token',
    [token, token.slice('WRT-'.length), ...formsOf(decodeToken(token).seed)],
    ({ words }) => words[0] === 'token',
  )
  const job = await homes.add('job')
  const api = await homes.pack(alice, 'api 1.0.0')
  const deployed = await job.runWith({ env: { WARREN_TOKEN: token } }, 'deploy', api, '--all', '--json')
  expect({ code: deployed.code, out: deployed.out }).toMatchObject({ code: 0 })
  expect((await job.runWith({ env: { WARREN_TOKEN: `${token.slice(0, -1)}?` } }, 'list', '--json')).code).not.toBe(0)

  await keepKeys(carol)
  await alice.must('node', 'remove', 'carol', '--yes', '--json')
  await alice.must('trust', 'rotate-key', '--json')
  await untilAgree(alice, bob)
  await until(async () => {
    const files = [alice, bob].map(({ folder }) => readFile(join(folder, 'keys', 'network.key'), 'utf8'))
    const [first, second] = await Promise.all(files)
    expect(second).toBe(first)
  })
  for (const home of [alice, bob]) await keepKeys(home)
})

test('the recovery phrase and the passphrase pass through and stay nowhere', async () => {
  const old = secrets.find(({ what }) => what === 'recovery phrase')?.forms[0] as string
  const wrong = `${old.slice(0, -4)}0000`
  expect((await alice.runWith({ input: `${wrong}\n` }, 'trust', 'recover', '--json')).code).not.toBe(0)
  const changed = await alice.runWith({ input: `${old}\n` }, 'trust', 'recover', '--new-phrase', '--json')
  const next = changed.lines<{ recovery_phrase?: string }>().find((line) => line.recovery_phrase)
    ?.recovery_phrase as string
  keep('new recovery phrase', [next, next.replaceAll(' ', '')], ({ words }) => words[1] === 'recover')
  expect((await alice.runWith({ input: `${old}\n` }, 'trust', 'checkpoint', '--json')).code).not.toBe(0)
  expect((await alice.runWith({ input: `${next}\n` }, 'trust', 'checkpoint', '--json')).code).toBe(0)

  keep('passphrase', [PASSPHRASE, Buffer.from(PASSPHRASE).toString('base64'), hash('sha256', PASSPHRASE)])
  const env = { WARREN_NEW_PASSPHRASE: PASSPHRASE }
  expect((await alice.runWith({ env }, 'key', 'protect', 'authority', '--json')).code).toBe(0)
  await alice.kill()
  await alice.must('daemon', 'start')
  await keepKeys(alice)
  expect(await alice.refusal('invite')).toBe('key_locked')
  expect((await alice.runWith({ input: 'wrong horse\n' }, 'key', 'unlock', '--json')).code).not.toBe(0)
  expect((await alice.runWith({ input: `${PASSPHRASE}\n` }, 'key', 'unlock', '--json')).code).toBe(0)
  await alice.must('invites', '--json')
  await untilSees(alice, ['alice', 'bob'])
})

test('everything that can be asked for is asked for, and no secret is in any of it', async () => {
  const questions = [
    'status', 'nodes', 'node info bob', 'invites', 'tokens', 'trust status', 'trust log', 'key list', 'policy list',
    'audit --tail 5000', 'audit verify --peers', 'audit heads', 'rollout list', 'list', 'packages', 'peers', 'config list',
    'config show', 'config validate', 'app status api', 'logs api', '--node bob status', '--node alice status',
  ] // biome-ignore format: a list
  await mapLimited(questions, 2, (words) => alice.run(...words.split(' '), '--json'))
  await mapLimited(questions.slice(0, 8), 2, (words) => bob.run(...words.split(' '), '--json'))
  for (const words of ['status', 'nodes', 'trust status', 'trust log', 'audit', 'config show'])
    await alice.run(...words.split(' '))
  watching = false
  await watcher
  const files = await written()
  expect(files.size).toBeGreaterThan(10)
  expect(secrets.length).toBeGreaterThan(15)
  const found = secrets.flatMap(({ what, forms, shownBy }) => {
    const isIn = (text: string): boolean => forms.some((form) => text.includes(form))
    const shown = homes.said.filter(({ result }) => isIn(result.out) || isIn(result.err))
    return [
      ...[...files].filter(([, text]) => isIn(text)).map(([name]) => `${what} is in ${name}`),
      ...linesToLookAt()
        .filter(isIn)
        .map((line) => `${what} is among the arguments ${line.slice(0, 40)}`),
      ...shown.filter((said) => !shownBy(said) || isIn(said.result.err)).map(({ words }) => `${what} is in ${words}`),
    ]
  })
  expect(found).toEqual([])
  // What is shown once was found where it is shown, so the look finds what it looks for.
  for (const what of ['join code', 'token', 'recovery phrase', 'new recovery phrase']) {
    const { forms } = secrets.find((secret) => secret.what === what) as Secret
    expect(homes.said.filter(({ result }) => forms.some((form) => result.out.includes(form)))).not.toEqual([])
  }
})

/** A join names its code until it has read it; from then on its line says nothing. */
function linesToLookAt(): string[] {
  const lines = [...commandLines.values()].flatMap((own) =>
    own.at(-1)?.startsWith('warren join') ? own.slice(-1) : own,
  )
  expect(lines).toContain('warren join')
  expect(lines.some((line) => line.endsWith('daemon run'))).toBe(true)
  return lines
}
