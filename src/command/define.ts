import type { Readable } from 'node:stream'
import type { ApiClient } from '../api/contract.ts'
import type { Style } from './style.ts'

/** An option of a command: what it takes and what the help says. */
export interface Option<T> {
  readonly kind: 'flag' | 'text' | 'list' | 'integer' | 'duration' | 'choice'
  readonly short?: string
  /** Placeholder in the help, such as `NODE`. */
  readonly value?: string
  readonly description: string
  readonly choices?: readonly string[]
  readonly fallback?: T
}

type OptionInit<T> = Omit<Option<T>, 'kind' | 'fallback' | 'choices'>

/** `--name`: true where given. */
export const flag = (init: OptionInit<boolean>): Option<boolean> => ({ ...init, kind: 'flag', fallback: false })
/** `--name VALUE`. */
export const text = (init: OptionInit<string>): Option<string | undefined> => ({ ...init, kind: 'text' })
/** `--name VALUE`, may repeat; always a list. */
export const list = (init: OptionInit<string>): Option<string[]> => ({ ...init, kind: 'list', fallback: [] })
/** `--name N`: a whole number from 0. */
export const integer = (init: OptionInit<number>): Option<number | undefined> => ({ ...init, kind: 'integer' })
/** `--name 10m`: given in milliseconds. */
export const duration = (init: OptionInit<number>): Option<number | undefined> => ({ ...init, kind: 'duration' })
/** `--name one|two`. */
export const choice = <T extends string>(choices: readonly T[], init: OptionInit<string>): Option<T | undefined> => ({
  ...init,
  kind: 'choice',
  choices,
})

/** A word of a command that is no option. */
export interface Argument {
  /** Upper case in the help: `APP`. Lower case here. */
  readonly name: string
  readonly description: string
  readonly optional?: boolean
  /** Takes all that is left; the value is then a list. Last argument only. */
  readonly rest?: boolean
  /** What shells may offer for it. */
  readonly complete?: 'file' | 'folder' | 'node' | 'app'
}

type ArgumentValues<A extends readonly Argument[]> = {
  [E in A[number] as E['name']]: E extends { rest: true }
    ? string[]
    : E extends { optional: true }
      ? string | undefined
      : string
}
type OptionValues<O> = { [K in keyof O]: O[K] extends Option<infer T> ? T : never }

/** What a command is given besides its words. */
export interface CommandContext {
  /** The home folder of the node that is spoken to (`--home`, WARREN_HOME, ~/.warren). */
  readonly home: string
  /**
   * The home of the node that commands act as: `home`; where no node is in it that of the running lab's first node,
   * which is then said; with a deploy token that of its own node, which lives as long as the command.
   */
  nodeHome(): Promise<string>
  /** The node that the command acts as ends with it (WARREN_TOKEN), so that it must not leave while others need it. */
  readonly temporary: boolean
  /** The configuration file named by `--config`, absolute. */
  readonly config: string | undefined
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
  readonly json: boolean
  readonly stdin: Readable
  /**
   * A secret: on a terminal typed after `LABEL: ` without being shown, else the next line of standard input. Fails with
   * `secret_missing` where nothing is given or more than 4 KiB, and with `cancelled` on Ctrl-C.
   */
  readSecret(label: string): Promise<string>
  /** True where a person at the terminal says yes to `QUESTION [y/N]`; false without a terminal. */
  confirm(question: string): Promise<boolean>
  /** How to start this program again: the interpreter, its flags and the program's file. */
  readonly program: readonly string[]
  /** A client of the daemon in `home` (or the running lab's first node), passed on to `--node` where given. */
  connect(): Promise<ApiClient>
  /** A client of the daemon in `home` itself, whatever `--node` says. */
  connectLocal(): Promise<ApiClient>
  /** A client of this node, by name or id, through the own daemon. */
  connectTo(node: string): Promise<ApiClient>
  /** True where `--node` names another node. */
  readonly remote: boolean
  /** What `--node` says: a name or an id. */
  readonly node?: string | undefined
  /** Talk: a line on stderr, not shown with --quiet. */
  say(line: string): void
  /** A live line on stderr: on a terminal redrawn in place, else nothing. */
  readonly progress: Progress
  readonly style: Style
}

/** Live lines while a command works. */
export interface Progress {
  /** Shows these lines in place of the last ones. */
  show(lines: readonly string[]): void
  /** Takes them away. */
  clear(): void
}

/** A table: rows of cells; widths, alignment and cutting are the kit's. */
export interface Table {
  readonly columns: readonly { readonly title: string; readonly align?: 'left' | 'right' }[]
  readonly rows: readonly (readonly string[])[]
  /** Said instead of an empty table. */
  readonly empty?: string
}

/** What a command returns; the kit prints `json` with --json and `human` otherwise, both on stdout. */
export interface CommandResult {
  readonly json: unknown
  readonly human?: string | Table | undefined
  readonly exitCode?: number
}

/** One line of a streaming command: JSON with --json, else text. `human` undefined prints nothing. */
export interface StreamLine {
  readonly json?: unknown
  readonly human?: string | undefined
  /** The exit code if this is the last line. */
  readonly exitCode?: number
}

/** All that the kit needs of a command. */
export interface CommandDefinition<A extends readonly Argument[], O extends Record<string, Option<unknown>>> {
  /** The words: `app start`. */
  readonly name: string
  /** Other words for the same: `start`. */
  readonly aliases?: readonly string[]
  /** One line for the list of commands. */
  readonly summary: string
  /** More for its own help page. */
  readonly description?: string
  readonly arguments?: A
  readonly options?: O
  /** Each: what it does, then the words after `warren`. */
  readonly examples: readonly { readonly does: string; readonly words: string }[]
  /** Not in the list of commands. */
  readonly hidden?: boolean
  run(input: {
    args: ArgumentValues<A>
    options: OptionValues<O>
    context: CommandContext
  }): Promise<CommandResult> | AsyncIterable<StreamLine>
}

/** A command whose words are not known to the type checker. */
export type AnyCommand = CommandDefinition<readonly Argument[], Record<string, Option<unknown>>>

/** Defines a command; a folder's `commands/index.ts` exports a list of them, lazily loaded. */
export function defineCommand<const A extends readonly Argument[], O extends Record<string, Option<unknown>>>(
  definition: CommandDefinition<A, O>,
): AnyCommand {
  return definition as unknown as AnyCommand
}
