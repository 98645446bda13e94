/** Homes on one machine that become a network by what people type: init, invite, join. Loopback only. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { expect, vi } from 'vitest'
import { type ApiClient, connectLocal } from '../../src/api/index.ts'
import { pathExists } from '../../src/base/files.ts'
import { memberContract, type TrustStatus, trustContract } from '../../src/member/contract.ts'
import { freePorts } from '../free-ports.ts'
import { programPath } from '../program.ts'
import { type AppOptions, STAYS_UP } from './fleet-of.ts'
import { type Command, type Result, resultOf } from './warren.ts'

/** A command that ran, for a look through all that was printed. */
export interface Said {
  readonly home: string
  readonly words: readonly string[]
  readonly result: Result
}

interface RunOptions {
  /** On top of the home's own. */
  readonly env?: NodeJS.ProcessEnv
  /** Standard input. */
  readonly input?: string
}

/** A machine: a home, a fixed port, and the program in it. */
export interface Home {
  readonly name: string
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  run(...words: string[]): Promise<Result>
  /** As `run`; fails the test where the exit code is not 0. */
  must(...words: string[]): Promise<Result>
  /** As `must`, with the answer read. */
  ask<T>(...words: string[]): Promise<T>
  runWith(options: RunOptions, ...words: string[]): Promise<Result>
  /** The code of the error with which a command ends; fails the test where it does not fail. */
  refusal(...words: string[]): Promise<string>
  spawn(...words: string[]): Command
  /** kill -9 of the daemon; its apps go on. */
  kill(): Promise<void>
  status(): Promise<TrustStatus>
}

export interface Homes {
  readonly folder: string
  readonly said: readonly Said[]
  /** A home with nothing in it. */
  add(name: string, env?: NodeJS.ProcessEnv): Promise<Home>
  /** Runs init there, starts the daemon, and gives what init printed. */
  found(home: Home): Promise<{ id: string; network: string; recovery_phrase: string }>
  /** Lets a new home join through an admin, by that name. */
  join(admin: Home, name: string, ...inviteWords: string[]): Promise<Home>
  /** Joins by a code, and fails the test where that does not work. */
  joinBy(home: Home, code: string, ...words: string[]): Promise<void>
  /** A folder with a manifest and a shell script. */
  writeApp(app: string, version: string, options?: AppOptions): Promise<string>
  /** A package file of `api 1.0.0`, signed by the key of that home, or by another. */
  pack(home: Home, what: string, ...words: string[]): Promise<string>
  /** Stops what still runs and deletes the folder. */
  cleanup(): Promise<void>
}

/** A folder for homes. The caller ends it by `cleanup()`. */
export async function createHomes(): Promise<Homes> {
  const main = await programPath()
  const folder = await mkdtemp(join(tmpdir(), 'warren-homes-'))
  const made: Home[] = []
  const said: Said[] = []
  const children = new Set<Command>()
  const homes: Homes = {
    folder,
    said,
    async add(name, env = {}) {
      const [port] = (await freePorts(1)) as [number]
      const home = createHome({ name, folder: join(folder, name), main, said, children, port, env })
      made.push(home)
      return home
    },
    async found(home) {
      const founded = await home.ask<Awaited<ReturnType<Homes['found']>>>('init', '--name', home.name, '--json')
      await home.must('daemon', 'start', '--json')
      return founded
    },
    async join(admin, name, ...inviteWords) {
      const home = await homes.add(name)
      await homes.joinBy(home, await inviteFrom(admin, '--name', name, ...inviteWords))
      return home
    },
    async joinBy(home, code, ...words) {
      const { code: exit, out } = await home.runWith({ input: `${code}\n` }, 'join', '-', ...words, '--json')
      if (exit !== 0) throw new Error(`${home.name} did not join: ${out}`)
    },
    async writeApp(app, version, { script = STAYS_UP, more = '', files = {} } = {}) {
      const target = join(folder, `${app}-${version}`)
      await mkdir(target, { recursive: true })
      await writeFile(join(target, 'manifest.yaml'), `name: ${app}\nversion: ${version}\nentrypoint: run\n${more}`)
      await writeFile(join(target, 'run'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
      for (const [file, content] of Object.entries(files)) await writeFile(join(target, file), content)
      return target
    },
    async pack(home, what, ...words) {
      const [app = '', version = ''] = what.split(' ')
      const from = await homes.writeApp(app, version)
      return (await home.ask<{ file: string }>('pack', from, '--output', folder, '--json', ...words)).file
    },
    async cleanup() {
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(made.map(stopHome))
      await rm(folder, { recursive: true, force: true })
    },
  }
  return homes
}

interface HomeInit {
  readonly name: string
  readonly folder: string
  readonly main: string
  readonly port: number
  readonly env: NodeJS.ProcessEnv
  readonly said: Said[]
  readonly children: Set<Command>
}

function createHome({ name, folder, main, port, env: own, said, children }: HomeInit): Home {
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: folder,
    WARREN_HOME: folder,
    WARREN_NET_LISTEN: `/ip4/127.0.0.1/tcp/${port}`,
    WARREN_NET_MDNS: 'false',
    // No test of these looks at a version that turns out to be bad.
    WARREN_DEPLOY_MIN_HEALTHY_TIME: '100ms',
    LANG: 'C.UTF-8',
    ...own,
  }
  const start = (words: readonly string[], more: NodeJS.ProcessEnv, stdin: 'pipe' | 'ignore') => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...words], {
      env: { ...env, ...more },
      stdio: [stdin, 'pipe', 'pipe'],
    }) as unknown as Command
    children.add(child)
    child.once('close', () => children.delete(child))
    return child
  }
  const home: Home = {
    name,
    folder,
    env,
    async runWith({ env: more = {}, input }, ...words) {
      const child = start(words, more, input === undefined ? 'ignore' : 'pipe')
      if (input !== undefined) (child.stdin as unknown as NodeJS.WritableStream).end(input)
      const result = await resultOf(child as unknown as { stdout: Readable; stderr: Readable } & Command)
      said.push({ home: name, words, result })
      return result
    },
    run: (...words) => home.runWith({}, ...words),
    async must(...words) {
      const result = await home.run(...words)
      if (result.code === 0) return result
      throw new Error(`${name}: warren ${words.join(' ')} ended with ${result.code}\n${result.out}\n${result.err}`)
    },
    ask: async <T>(...words: string[]) => (await home.must(...words)).json<T>(),
    async refusal(...words) {
      const result = await home.run(...words, '--json')
      expect({ words, code: result.code }).not.toEqual({ words, code: 0 })
      return codeOf(result)
    },
    spawn: (...words) => start(words, {}, 'ignore'),
    async kill() {
      const pid = Number(await readFile(join(folder, 'run', 'daemon.pid'), 'utf8'))
      process.kill(pid, 'SIGKILL')
      // Its port and its lock are free when it is gone.
      await until(() => expect(readFile(`/proc/${pid}/cmdline`, 'latin1')).rejects.toThrow())
    },
    status: () => askDaemon(home, (client) => client.call(trustContract.status, {})),
  }
  return home
}

async function stopHome(home: Home): Promise<void> {
  if (!(await pathExists(join(home.folder, 'run')))) return
  const apps = await readdir(join(home.folder, 'apps')).catch(() => [])
  // Apps outlive a daemon that was killed: it is started once more to stop them.
  if (apps.length > 0) await home.must('daemon', 'start')
  const stopped = await home.run('daemon', 'stop', '--apps', '--json')
  if (stopped.code === 0 || codeOf(stopped) === 'daemon_not_running') return
  throw new Error(`${home.name} did not stop: ${stopped.out}`)
}

/** The code of an error that a command printed with --json: as its one value, or as the last line of a stream. */
export function codeOf({ out, err }: Result): string {
  const last = out.trim().split('\n').at(-1) ?? ''
  try {
    const value = (out.trim().startsWith('{\n') ? JSON.parse(out) : JSON.parse(last)) as { error?: { code: string } }
    return value.error?.code ?? `no error: ${out}`
  } catch {
    return `no JSON: ${out} ${err}`
  }
}

/** Waits until what the check expects holds. */
export const until = (check: () => Promise<unknown>): Promise<unknown> =>
  vi.waitFor(check, { timeout: 60_000, interval: 50 })

/** The code that an admin makes. */
export async function inviteFrom(admin: Home, ...words: string[]): Promise<string> {
  return (await admin.ask<{ code: string }>('invite', ...words, '--json')).code
}

export const nodesOf = (home: Home) => askDaemon(home, (client) => client.call(memberContract.list, {}))

/** What is asked for again and again goes straight to the socket, as the commands do. */
export async function askDaemon<T>({ folder, env }: Home, ask: (client: ApiClient) => Promise<T>): Promise<T> {
  const client = await connectLocal({ home: folder, env })
  try {
    return await ask(client)
  } finally {
    client.close()
  }
}

/** Waits until a home sees exactly these nodes, itself among them, with these being up. */
export async function untilSees(home: Home, up: readonly string[]): Promise<void> {
  const seen = async () =>
    (await nodesOf(home))
      .filter(({ state }) => state !== 'down')
      .map(({ name }) => name)
      .sort()
  await until(async () => expect(await seen()).toEqual([...up].sort()))
}

/** Waits until all believe the same, and gives its digest. */
export async function untilAgree(...homes: readonly Home[]): Promise<string> {
  const digests = async () => new Set(await Promise.all(homes.map(async (home) => (await home.status()).digest))).size
  await until(async () => expect(await digests()).toBe(1))
  return (await (homes[0] as Home).status()).digest
}
