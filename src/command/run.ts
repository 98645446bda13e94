import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { connectLocal, localDoorOf } from '../api/index.ts'
import { exitCodeOf, toWarrenError } from '../base/errors.ts'
import { pathExists } from '../base/files.ts'
import { createAsking, type Input } from './ask.ts'
import type { AnyCommand, CommandContext, CommandResult, StreamLine } from './define.ts'
import type { CommandEntry } from './entry.ts'
import { commandErrors } from './errors.ts'
import { listHelp, nearest } from './help.ts'
import { errorText, print, printResult, printStream } from './output.ts'
import { commandHelp, type GlobalOptions, parseCommand, splitGlobals } from './parse.ts'
import { createProgress } from './progress.ts'
import { createStyle, type Style } from './style.ts'
import { onlyStyled } from './table.ts'

/** What a command line runs in. */
export interface Frame {
  readonly entries: readonly CommandEntry[]
  /** What `--version` prints. */
  readonly version: string
  /** A home to use where the user has none of their own: the running lab's first node. */
  readonly fallbackHome?: (home: string) => Promise<string | undefined>
  /** Brings up the node of a deploy token in this process; used where WARREN_TOKEN is set. */
  readonly tokenNode?: (token: string, options: TokenNodeOptions) => Promise<TokenNode>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: Input
  /** The interpreter, its flags and the program's file. */
  readonly program: readonly string[]
  readonly stdout: Writable & { isTTY?: boolean }
  readonly stderr: Writable & { isTTY?: boolean; columns?: number }
  readonly signal: AbortSignal
}

/** What the node of a deploy token is given. */
export interface TokenNodeOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Gives up a start that is not done. */
  readonly signal: AbortSignal
}

/** The node of a deploy token, which answers on the socket of its home until it is stopped. */
export interface TokenNode {
  readonly home: string
  /** Ends it, and removes its home. */
  stop(): Promise<void>
}

/** Runs the words of a command line and gives the exit code. Never rejects: errors are printed. */
export async function runWords(frame: Frame, words: readonly string[]): Promise<number> {
  const json = words.includes('--json')
  const style = createStyle(frame.stderr.isTTY === true && !frame.env.NO_COLOR)
  try {
    return await dispatch(frame, words)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EPIPE') return 0
    const error = frame.signal.aborted ? toWarrenError(frame.signal.reason) : toWarrenError(thrown)
    if (json) await print(frame.stdout, `${JSON.stringify({ error })}\n`).catch(() => undefined)
    else if (error.code !== 'cancelled') await print(frame.stderr, `${errorText(error, style)}\n`)
    if (error.code === 'internal' && frame.env.WARREN_DEBUG && error.cause instanceof Error) {
      await print(frame.stderr, `${error.cause.stack}\n`)
    }
    return exitCodeOf(error.status)
  }
}

async function dispatch(frame: Frame, words: readonly string[]): Promise<number> {
  const { globals, rest } = splitGlobals(words)
  if (globals.version === true) {
    await print(frame.stdout, `${frame.version}\n`)
    return 0
  }
  const found = findEntry(frame.entries, rest)
  if (found === undefined) return await noCommand(frame, rest, globals)
  const definition = await found.entry.load()
  const parsed = globals.help === true ? undefined : parseCommand(definition, found.rest)
  if (parsed === undefined) {
    await print(frame.stdout, `${commandHelp(definition)}\n`)
    return 0
  }
  const all = { ...globals, ...parsed.globals }
  const context = await createContext(frame, all)
  try {
    const output = definition.run({ args: parsed.args, options: parsed.options, context } as Parameters<
      AnyCommand['run']
    >[0])
    const style = createStyle(frame.stdout.isTTY === true && !frame.env.NO_COLOR)
    if (Symbol.asyncIterator in output) {
      return await printStream(output as AsyncIterable<StreamLine>, { stdout: frame.stdout, json: context.json })
    }
    const result: CommandResult = await output
    context.progress.clear()
    await printResult(result, { stdout: frame.stdout, json: context.json, style })
    return result.exitCode ?? 0
  } finally {
    context.progress.clear()
    await context.close()
  }
}

/** The entry with the most words in common with the front of `words`. */
function findEntry(
  entries: readonly CommandEntry[],
  words: readonly string[],
): { entry: CommandEntry; rest: string[] } | undefined {
  for (let length = Math.min(3, words.length); length > 0; length--) {
    const name = words.slice(0, length).join(' ')
    const entry = entries.find((candidate) => candidate.name === name || candidate.aliases?.includes(name))
    if (entry !== undefined) return { entry, rest: words.slice(length) }
  }
  return undefined
}

async function noCommand(frame: Frame, words: readonly string[], globals: GlobalOptions): Promise<number> {
  const help = globals.help === true || words.includes('--help') || words.includes('-h')
  const plain = words.filter((word) => !word.startsWith('-'))
  const prefix = plain.join(' ')
  const isGroup =
    prefix === '' || frame.entries.some(({ name, hidden }) => name.startsWith(`${prefix} `) && hidden !== true)
  if (isGroup) {
    await print(help ? frame.stdout : frame.stderr, `${listHelp(frame.entries, prefix)}\n`)
    return help ? 0 : 2
  }
  const names = frame.entries
    .filter(({ hidden }) => hidden !== true)
    .flatMap(({ name, aliases }) => [name, ...(aliases ?? [])])
  const like = [...new Set([2, 1].flatMap((length) => nearest(plain.slice(0, length).join(' '), names)))].slice(0, 3)
  throw commandErrors.command_unknown(`there is no command "${plain.slice(0, 2).join(' ')}"`, {
    hint:
      like.length === 0 ? 'See: warren --help' : `Did you mean: ${like.map((name) => `warren ${name}`).join(', ')}?`,
  })
}

async function createContext(
  frame: Frame,
  globals: GlobalOptions,
): Promise<CommandContext & { close(): Promise<void> }> {
  const quiet = globals.quiet === true
  const style: Style = createStyle(frame.stdout.isTTY === true && !frame.env.NO_COLOR)
  const say = (line: string): void => {
    if (!quiet) frame.stderr.write(`${onlyStyled(line)}\n`)
  }
  const progress = createProgress(frame.stderr, !quiet)
  const home = resolve(frame.cwd, globals.home ?? frame.env.WARREN_HOME ?? join(homedir(), '.warren'))
  const clients: { close(): void }[] = []
  const dim = (text: string): void => say(style.dim(text))
  const node = globals.home === undefined ? startTokenNode(frame, home, dim) : undefined
  let found: Promise<string> | undefined
  const nodeHome = (): Promise<string> => {
    found ??= node === undefined ? findNodeHome(frame, home, dim) : node.home()
    return found
  }
  const { readSecret, confirm } = createAsking(frame)
  const connect = async (target: string | undefined) => {
    const client = await connectLocal({ home: await nodeHome(), env: frame.env, node: target })
    clients.push(client)
    return client
  }
  return {
    home,
    nodeHome,
    config: globals.config === undefined ? undefined : resolve(frame.cwd, globals.config),
    cwd: frame.cwd,
    env: frame.env,
    signal: frame.signal,
    json: globals.json === true,
    stdin: frame.stdin,
    readSecret,
    confirm,
    temporary: node !== undefined,
    program: frame.program,
    remote: globals.node !== undefined,
    node: globals.node,
    connect: () => connect(globals.node),
    connectLocal: () => connect(undefined),
    connectTo: (target) => connect(target),
    say,
    progress,
    style,
    close: async () => {
      for (const client of clients) client.close()
      await node?.stop()
    },
  }
}

/** The node of WARREN_TOKEN, brought up when it is first needed; undefined where none is set. */
function startTokenNode(
  frame: Frame,
  home: string,
  say: (text: string) => void,
): { home(): Promise<string>; stop(): Promise<void> } | undefined {
  const { env, signal, tokenNode } = frame
  const token = env.WARREN_TOKEN
  if (token === undefined || token === '' || tokenNode === undefined) return undefined
  let started: Promise<TokenNode> | undefined
  const ending = new AbortController()
  return {
    async home() {
      if (started === undefined && (await pathExists(localDoorOf(home, env).socket))) {
        say(`WARREN_TOKEN is set: this command acts as the token, not as the node in ${home}`)
      }
      started ??= tokenNode(token, { env, signal: AbortSignal.any([signal, ending.signal]) })
      return (await started).home
    },
    async stop() {
      // One that is not up yet is given up; it cleans up by itself.
      ending.abort(new Error('the command has ended'))
      const running = await started?.catch(() => undefined)
      await running?.stop()
    },
  }
}

async function findNodeHome(frame: Frame, home: string, say: (text: string) => void): Promise<string> {
  for (const name of ['config.yaml', join('keys', 'node.key')]) if (await pathExists(join(home, name))) return home
  const fallback = await frame.fallbackHome?.(home)
  if (fallback === undefined) return home
  say(`no node of your own in ${home}: the lab's first node answers`)
  return fallback
}
