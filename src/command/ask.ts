import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { baseErrors } from '../base/errors.ts'
import { commandErrors } from './errors.ts'

/** Longest secret; a recovery phrase has some 200 letters. */
const MAX_SECRET_BYTES = 4096
const [CTRL_C, CTRL_D, BACKSPACE, CTRL_U, DELETE] = ['\u0003', '\u0004', '\b', '\u0015', '\u007f']
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys such as arrows send them
const KEY_SEQUENCE = /\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z]|.)/g

/** Standard input, which may be a terminal. */
export type Input = Readable & {
  readonly isTTY?: boolean | undefined
  setRawMode?: ((mode: boolean) => unknown) | undefined
}

export interface AskingOptions {
  readonly stdin: Input
  readonly stderr: { readonly isTTY?: boolean | undefined; write(text: string): unknown }
  readonly signal: AbortSignal
}

/** Questions to the person at the terminal. */
export interface Asking {
  /**
   * A secret: on a terminal typed after `LABEL: ` without being shown, else the next line of standard input. Fails with
   * `secret_missing` where nothing is given or more than 4 KiB, and with `cancelled` on Ctrl-C; the terminal is then as
   * it was.
   */
  readSecret(label: string): Promise<string>
  /** True where a person at the terminal says yes; false without a terminal, and for any other answer. */
  confirm(question: string): Promise<boolean>
}

/** Asks on `stderr`, so that results can be redirected, and listens on `stdin` only while it waits for an answer. */
export function createAsking({ stdin, stderr, signal }: AskingOptions): Asking {
  // One for all: a letter may be cut between what one answer took and the next one takes.
  const source = { stdin, signal, decoder: new StringDecoder('utf8') }
  const lines = createLines(source)
  return {
    async readSecret(label) {
      if (stdin.isTTY !== true || stdin.setRawMode === undefined) return requireSecret(await lines(), label)
      stderr.write(`${label}: `)
      stdin.setRawMode(true)
      try {
        return requireSecret(await readHidden(source), label)
      } finally {
        stdin.setRawMode(false)
        stderr.write('\n')
      }
    },
    async confirm(question) {
      if (stdin.isTTY !== true || stderr.isTTY !== true) return false
      stderr.write(`${question} [y/N] `)
      return /^y(es)?$/i.test(((await lines()) ?? '').trim())
    },
  }
}

interface Source {
  readonly stdin: Input
  readonly signal: AbortSignal
  readonly decoder: StringDecoder
}

function requireSecret(text: string | undefined, label: string): string {
  if (text === undefined || text === '') {
    throw commandErrors.secret_missing(`${label}: nothing was given`, {
      hint: 'Type it at a terminal, or give it as a line of standard input.',
    })
  }
  return text
}

/** Reads what is typed in raw mode until Enter. Ctrl-C arrives here as a letter, since raw mode makes no signal of it. */
function readHidden(source: Source): Promise<string | undefined> {
  let typed: string[] = []
  return listen<string | undefined>(source, (text, { done, fail }) => {
    for (const letter of text.replaceAll(KEY_SEQUENCE, '')) {
      if (letter === '\r' || letter === '\n') return done(typed.join(''))
      if (letter === CTRL_C) return fail(baseErrors.cancelled('stopped by Ctrl-C'))
      if (letter === CTRL_D && typed.length === 0) return done(undefined)
      if (letter === BACKSPACE || letter === DELETE) typed.pop()
      else if (letter === CTRL_U) typed = []
      else if (letter >= ' ') typed.push(letter)
      if (typed.length > MAX_SECRET_BYTES) return fail(tooLong())
    }
  })
}

/** Gives one line of the input after another; undefined at its end. What comes after a line is kept for the next one. */
function createLines(source: Source): () => Promise<string | undefined> {
  let rest = ''
  let ended = false
  const takeLine = (): string | undefined => {
    const end = rest.indexOf('\n')
    if (end === -1) return undefined
    const line = rest.slice(0, end).replace(/\r$/, '')
    rest = rest.slice(end + 1)
    return line
  }
  return async () => {
    const line = takeLine()
    if (line !== undefined) return line
    if (!ended) {
      await listen<void>(
        source,
        (text, { done, fail }) => {
          rest += text
          if (rest.includes('\n')) done()
          else if (Buffer.byteLength(rest) > MAX_SECRET_BYTES) fail(tooLong())
        },
        () => {
          ended = true
        },
      )
    }
    const next = takeLine()
    if (next !== undefined) return Buffer.byteLength(next) > MAX_SECRET_BYTES ? Promise.reject(tooLong()) : next
    const last = rest
    rest = ''
    return last === '' ? undefined : last
  }
}

interface Ending<T> {
  done(value: T): void
  fail(error: Error): void
}

/** Hears the input until `onText` ends it, the input ends (then with undefined), or the signal fires; then it is paused. */
function listen<T>(
  { stdin, signal, decoder }: Source,
  onText: (text: string, ending: Ending<T>) => void,
  onEnd?: () => void,
): Promise<T> {
  signal.throwIfAborted()
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => {
      stdin.off('data', hear)
      stdin.off('end', end)
      stdin.off('error', fail)
      signal.removeEventListener('abort', abort)
      stdin.pause()
    }
    const done = (value: T): void => {
      stop()
      resolve(value)
    }
    const fail = (error: Error): void => {
      stop()
      reject(error)
    }
    const hear = (bytes: Uint8Array | string): void =>
      onText(typeof bytes === 'string' ? bytes : decoder.write(Buffer.from(bytes)), { done, fail })
    const end = (): void => {
      onEnd?.()
      done(undefined as T)
    }
    const abort = (): void => fail(signal.reason as Error)
    stdin.on('data', hear)
    stdin.once('end', end)
    stdin.once('error', fail)
    signal.addEventListener('abort', abort, { once: true })
    if (stdin.readableEnded) end()
    else stdin.resume()
  })
}

function tooLong(): Error {
  return commandErrors.secret_missing(`more than ${MAX_SECRET_BYTES} bytes were given in place of a secret`)
}
