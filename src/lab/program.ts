import { spawn } from 'node:child_process'
import { WarrenError } from '../base/errors.ts'

export interface RunOptions {
  /** The interpreter, its flags and the program's file. */
  readonly program: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** Runs `warren WORDS --json` and gives the value on its stdout. An error it prints is thrown as it was. */
export async function runJson<T>(words: readonly string[], options: RunOptions): Promise<T> {
  let last: unknown
  for await (const value of run(words, options, 'whole')) last = value
  return last as T
}

/** Runs a streaming command and gives its JSON lines as they come; its exit code is left to the last line to tell. */
export async function* runJsonLines<T>(words: readonly string[], options: RunOptions): AsyncGenerator<T> {
  yield* run(words, options, 'lines') as AsyncGenerator<T>
}

async function* run(words: readonly string[], options: RunOptions, mode: 'whole' | 'lines'): AsyncGenerator<unknown> {
  const [interpreter, ...flags] = options.program as [string, ...string[]]
  const child = spawn(interpreter, [...flags, ...words, '--json'], {
    env: withoutConfig(options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: options.signal,
  })
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(options.signal.aborted ? options.signal.reason : error))
    child.once('close', (code) => resolve(code ?? 1))
  })
  ended.catch(() => undefined)
  let talk = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    talk = (talk + text).slice(-4096)
  })
  let rest = ''
  let printed = false
  for await (const text of child.stdout.setEncoding('utf8')) {
    rest += text
    if (mode === 'whole') continue
    const lines = rest.split('\n')
    rest = lines.pop() as string
    for (const line of lines.filter((each) => each !== '')) {
      printed = true
      yield refuseErrors(JSON.parse(line))
    }
  }
  const code = await ended
  if (mode === 'whole' && rest.trim() !== '') yield refuseErrors(JSON.parse(rest))
  else if (code !== 0 && !printed) {
    throw new WarrenError('internal', 500, `warren ${words.join(' ')} ended with exit code ${code}: ${talk.trim()}`)
  }
}

/** A node of the lab has its own config: variables that are meant for the person's own node would put all on one port. */
function withoutConfig(env: RunOptions['env']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^WARREN_(?!DEBUG$)/.test(name)))
}

function refuseErrors(value: unknown): unknown {
  const { error } = (value ?? {}) as { error?: { code: string; message: string; hint?: string | null } }
  if (error === undefined || typeof error !== 'object' || error === null) return value
  throw new WarrenError(error.code, 500, error.message, error.hint ? { hint: error.hint } : {})
}
