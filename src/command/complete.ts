import { withTimeout } from '../base/wait.ts'
import type { AnyCommand, Option } from './define.ts'
import type { CommandEntry } from './entry.ts'

export interface Candidate {
  readonly value: string
  /** One line; may be empty. */
  readonly description: string
}

export interface Completion {
  readonly candidates: readonly Candidate[]
  /** Whether the shell is to offer paths too. */
  readonly files: 'file' | 'folder' | 'none'
}

/** What the line says about which node is asked for names. */
export interface NameScope {
  readonly home: string | undefined
  readonly node: string | undefined
}

export interface CompleteInput {
  readonly entries: readonly CommandEntry[]
  /** The words after the program's name up to the cursor. The last one is completed; it is empty for a new word. */
  readonly words: readonly string[]
  /** Names of nodes and apps. A failure, or more than 200 ms, means none. */
  readonly names: (kind: 'node' | 'app', scope: NameScope) => Promise<readonly string[]>
}

/** A person waits at the prompt: later names are of no use. */
const NAMES_TIMEOUT_MS = 200

/** The options that every command takes; the kit's parser knows the same ones, which a test compares. */
export const GLOBAL_OPTIONS: Readonly<Record<string, Option<unknown>>> = {
  home: { kind: 'text', value: 'FOLDER', description: 'home of the node to talk to' },
  node: { kind: 'text', value: 'NODE', description: 'send the command on to this node' },
  config: { kind: 'text', short: 'c', value: 'FILE', description: 'configuration file' },
  json: { kind: 'flag', description: 'print JSON' },
  quiet: { kind: 'flag', short: 'q', description: 'results and errors only' },
  help: { kind: 'flag', short: 'h', description: 'show help' },
}

const NOTHING: Completion = { candidates: [], files: 'none' }

/** What can stand in place of the last word. Never fails; loads only the one command that the words name. */
export async function complete({ entries, words, names }: CompleteInput): Promise<Completion> {
  const current = words.at(-1) ?? ''
  const line = await readLine(entries, words.slice(0, -1))
  const scope: NameScope = { home: line.given.get('home'), node: line.given.get('node') }
  const ask = (kind: 'node' | 'app') => askNames(names, kind, scope)

  if (line.waiting !== undefined) return await completeValue(line.waiting, { current, before: '', ask })
  const inline = line.operandsOnly ? null : /^(--[a-z-]+=)(.*)$/s.exec(current)
  if (inline !== null) {
    const [, before, value] = inline as unknown as [string, string, string]
    const option = findOption(line.options, before.slice(0, -1))
    return option === undefined ? NOTHING : await completeValue(option.option, { current: value, before, ask })
  }
  if (current.startsWith('-') && !line.operandsOnly) return keep(current, optionsOf(line))
  const verbs = line.operands.length === 0 || line.command === undefined ? nextWords(entries, line.names) : []
  const argument = line.command === undefined ? undefined : argumentAt(line.command, line.operands.length)
  const rest = await completeKind(argument?.complete, { current, before: '', ask })
  return { candidates: [...keep(current, verbs).candidates, ...rest.candidates], files: rest.files }
}

/** The words before the cursor, understood. */
interface Line {
  /** The words that name the command, as far as they go. */
  readonly names: readonly string[]
  readonly command: AnyCommand | undefined
  readonly options: readonly NamedOption[]
  readonly operands: readonly string[]
  /** After `--`. */
  readonly operandsOnly: boolean
  /** The option whose value comes next. */
  readonly waiting: Option<unknown> | undefined
  /** Options on the line by long name; flags as an empty text. */
  readonly given: ReadonlyMap<string, string>
}

interface NamedOption {
  /** Without dashes. */
  readonly name: string
  readonly option: Option<unknown>
}

async function readLine(entries: readonly CommandEntry[], words: readonly string[]): Promise<Line> {
  const globals = toOptions(GLOBAL_OPTIONS)
  const start = scan(words, globals, true)
  const found = findEntry(entries, start.left)
  if (found === undefined) {
    const waiting = start.left.length === 0 ? start.waiting : undefined
    return { ...start, names: start.left, command: undefined, options: globals, operands: [], waiting }
  }
  const command = await found.entry.load()
  const own = toOptions(command.options ?? {})
  const options = [...own, ...globals.filter(({ name }) => own.every((option) => option.name !== name))]
  const rest = scan(found.rest, options, false)
  return {
    names: start.left.slice(0, start.left.length - found.rest.length),
    command,
    options,
    operands: rest.left,
    operandsOnly: rest.operandsOnly,
    waiting: rest.waiting,
    given: new Map([...start.given, ...rest.given]),
  }
}

/** Takes options off the words: only those at the front, or all of them. */
function scan(words: readonly string[], options: readonly NamedOption[], frontOnly: boolean) {
  const left: string[] = []
  const given = new Map<string, string>()
  let waiting: NamedOption | undefined
  let operandsOnly = false
  for (const word of words) {
    if (waiting !== undefined) {
      given.set(waiting.name, word)
      waiting = undefined
    } else if (operandsOnly || !word.startsWith('-') || word === '-' || (frontOnly && left.length > 0)) {
      left.push(word)
    } else if (word === '--') {
      operandsOnly = true
    } else {
      const [name, value] = word.split(/=(.*)/s) as [string, string | undefined]
      const found = findOption(options, name)
      if (found === undefined) continue
      if (found.option.kind === 'flag' || value !== undefined) given.set(found.name, value ?? '')
      else waiting = found
    }
  }
  return { left, given, waiting: waiting?.option, operandsOnly }
}

function findEntry(
  entries: readonly CommandEntry[],
  words: readonly string[],
): { entry: CommandEntry; rest: string[] } | undefined {
  for (let length = words.length; length > 0; length--) {
    const name = words.slice(0, length).join(' ')
    const entry = entries.find((candidate) => candidate.name === name || candidate.aliases?.includes(name))
    if (entry !== undefined) return { entry, rest: words.slice(length) }
  }
  return undefined
}

function toOptions(options: Readonly<Record<string, Option<unknown>>>): NamedOption[] {
  return Object.entries(options).map(([key, option]) => ({
    name: key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    option,
  }))
}

function findOption(options: readonly NamedOption[], word: string): NamedOption | undefined {
  return options.find(
    ({ name, option }) => word === `--${name}` || (option.short !== undefined && word === `-${option.short}`),
  )
}

/** The options that may still be given: those that repeat, and those that are not on the line yet. */
function optionsOf({ options, given }: Line): Candidate[] {
  return options
    .filter(({ name, option }) => option.kind === 'list' || !given.has(name))
    .map(({ name, option }) => ({ value: `--${name}`, description: option.description }))
}

/** The words that can follow these ones in the name of a command, hidden commands left out. */
function nextWords(entries: readonly CommandEntry[], names: readonly string[]): Candidate[] {
  const found = new Map<string, { summary: string | undefined; below: string[] }>()
  const visible = entries.filter(({ hidden }) => hidden !== true)
  for (const { name, aliases, summary } of visible) {
    for (const form of [name, ...(aliases ?? [])]) {
      const parts = form.split(' ')
      const next = parts[names.length]
      if (next === undefined || names.some((word, index) => parts[index] !== word)) continue
      const known = found.get(next) ?? { summary: undefined, below: [] }
      const last = parts.length === names.length + 1
      if (last) known.summary ??= summary
      else known.below.push(parts[names.length + 1] as string)
      found.set(next, known)
    }
  }
  return [...found].map(([value, { summary, below }]) => ({
    value,
    description: summary ?? [...new Set(below)].join(', '),
  }))
}

function argumentAt(command: AnyCommand, position: number) {
  const all = command.arguments ?? []
  const last = all.at(-1)
  return all[position] ?? (last?.rest === true ? last : undefined)
}

interface ValueInput {
  readonly current: string
  /** What stands before the value in the same word: `--on=`. */
  readonly before: string
  readonly ask: (kind: 'node' | 'app') => Promise<readonly string[]>
}

async function completeValue(option: Option<unknown>, input: ValueInput): Promise<Completion> {
  if (option.kind === 'flag') return NOTHING
  if (option.choices !== undefined) {
    const candidates = option.choices.map((choice) => ({ value: input.before + choice, description: '' }))
    return keep(input.before + input.current, candidates)
  }
  return await completeKind(kindOf(option), input)
}

/** What an option's placeholder in the help says about its value. */
function kindOf({ value = '' }: Option<unknown>): 'file' | 'folder' | 'node' | 'app' | undefined {
  if (/\b(?:FOLDER|DIR)\b/.test(value)) return 'folder'
  if (/\bFILE\b/.test(value)) return 'file'
  if (/\bNODE\b/.test(value)) return 'node'
  return /\bAPP\b/.test(value) ? 'app' : undefined
}

async function completeKind(
  kind: 'file' | 'folder' | 'node' | 'app' | undefined,
  { current, before, ask }: ValueInput,
): Promise<Completion> {
  if (kind === undefined) return NOTHING
  if (kind === 'file' || kind === 'folder') return { candidates: [], files: kind }
  const names = await ask(kind)
  return keep(
    before + current,
    names.map((name) => ({ value: before + name, description: '' })),
  )
}

function keep(start: string, candidates: readonly Candidate[]): Completion {
  return { candidates: candidates.filter(({ value }) => value.startsWith(start)), files: 'none' }
}

/**
 * The names that are safe to put on a command line. They come from other nodes: one with a space, a quote or a `$` in it
 * is not offered, because what the shell inserts is what it runs next.
 */
async function askNames(
  names: CompleteInput['names'],
  kind: 'node' | 'app',
  scope: NameScope,
): Promise<readonly string[]> {
  try {
    const found = await withTimeout(`names of ${kind}s`, NAMES_TIMEOUT_MS, () => names(kind, scope))
    return [...new Set(found)].filter((name) => /^[\p{L}\p{N}_][\p{L}\p{N}_.@%+:-]*$/u.test(name)).sort()
  } catch {
    return []
  }
}
