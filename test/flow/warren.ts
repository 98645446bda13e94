/** The real program in a home of its own, as a person runs it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { programPath } from '../program.ts'

export interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
  /** The value on stdout; for a command run with --json. */
  json<T>(): T
  /** The values of a stream, one a line. */
  lines<T>(): T[]
}

export interface LabNode {
  readonly name: string
  readonly id: string
  readonly home: string
  readonly socket: string
}

export interface Warren {
  /** Holds everything the program writes. */
  readonly folder: string
  /** Environment of the program. */
  readonly env: NodeJS.ProcessEnv
  /** Starts a command; whoever does ends it. */
  spawn(...words: string[]): Command
  /** Runs a command to its end. */
  run(...words: string[]): Promise<Result>
  /** Runs a command and fails the test where its exit code is not 0. */
  must(...words: string[]): Promise<Result>
  /** Stops whatever still runs and deletes the folder. */
  cleanup(): Promise<void>
}

/** A command under way. */
export type Command = ChildProcessByStdio<null, Readable, Readable>

/** A Warren with an empty home. */
export async function createWarren(): Promise<Warren> {
  const main = await programPath()
  const folder = await mkdtemp(join(tmpdir(), 'warren-flow-'))
  const env = { PATH: process.env.PATH, HOME: folder, WARREN_HOME: join(folder, 'home'), LANG: 'C.UTF-8' }
  const spawnProgram = (...words: string[]): Command =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...words], {
      env,
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const run = (...words: string[]): Promise<Result> => resultOf(spawnProgram(...words))
  return {
    folder,
    env,
    spawn: spawnProgram,
    run,
    async must(...words) {
      const result = await run(...words)
      if (result.code !== 0)
        throw new Error(`warren ${words.join(' ')} ended with ${result.code}\n${result.out}\n${result.err}`)
      return result
    },
    async cleanup() {
      const down = await run('lab', 'down')
      if (down.code !== 0 && !down.err.includes('lab_not_found')) throw new Error(down.err)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What a command printed, once it has ended. */
export async function resultOf(child: Command): Promise<Result> {
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number>((resolve) => child.once('close', (ended) => resolve(ended ?? -1))),
  ])
  return {
    code,
    out,
    err,
    json: <T>() => JSON.parse(out) as T,
    lines: <T>() =>
      out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as T),
  }
}

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = ''
  for await (const part of stream.setEncoding('utf8')) all += part
  return all
}
