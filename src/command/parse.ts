import { Command, CommanderError, Option as CommanderOption, InvalidArgumentError } from 'commander'
import { parseDuration } from '../base/durations.ts'
import type { AnyCommand, Argument, Option } from './define.ts'
import { commandErrors } from './errors.ts'

/** Short enough to read, on a terminal of the usual width. */
const HELP_COLUMNS = 80

/** Options that every command takes. */
export interface GlobalOptions {
  readonly home?: string
  readonly node?: string
  readonly config?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly help?: boolean
  readonly version?: boolean
}

/** Each global option: long name, short, placeholder, what the help says. */
const GLOBALS: readonly (readonly [string, string | undefined, string | undefined, string])[] = [
  ['home', undefined, 'FOLDER', 'home of the node to talk to (default: $WARREN_HOME or ~/.warren)'],
  ['node', undefined, 'NODE', 'send the command on to this node'],
  ['config', 'c', 'FILE', 'configuration file (default: config.yaml in the home)'],
  ['json', undefined, undefined, 'print JSON; streams print JSON lines'],
  ['quiet', 'q', undefined, 'results and errors only'],
]

/** Takes the global options that stand before the command's own words off the front. */
export function splitGlobals(words: readonly string[]): { globals: GlobalOptions; rest: string[] } {
  const globals: Record<string, string | boolean> = {}
  const rest = [...words]
  while (rest[0]?.startsWith('-') === true) {
    const word = rest.shift() as string
    if (word === '--help' || word === '-h') globals.help = true
    else if (word === '--version' || word === '-V') globals.version = true
    else takeGlobal(word, rest, globals)
  }
  return { globals, rest }
}

function takeGlobal(word: string, rest: string[], globals: Record<string, string | boolean>): void {
  const [name, inline] = word.split(/=(.*)/s) as [string, string | undefined]
  const found = GLOBALS.find(([long, short]) => name === `--${long}` || (short !== undefined && name === `-${short}`))
  if (found === undefined) throw commandErrors.option_invalid(`unknown option ${word}`, { hint: 'See: warren --help' })
  const [long, , value] = found
  const given = value === undefined ? true : (inline ?? rest.shift())
  if (given === undefined) throw commandErrors.option_invalid(`${name} needs a value`, { hint: 'See: warren --help' })
  globals[long] = given
}

export interface ParsedCommand {
  readonly args: Record<string, string | string[] | undefined>
  readonly options: Record<string, unknown>
  readonly globals: GlobalOptions
}

/** Parses a command's words; `undefined` where they ask for help. Fails with `option_invalid`. */
export function parseCommand(definition: AnyCommand, words: readonly string[]): ParsedCommand | undefined {
  if (helpAsked(words)) return undefined
  const parser = parserOf(definition)
  try {
    parser.parse([...words], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    throw commandErrors.option_invalid(error.message.replace(/^error: /, ''), {
      cause: error,
      hint: `See: warren ${definition.name} --help`,
    })
  }
  const values = parser.opts()
  const args = Object.fromEntries(
    (definition.arguments ?? []).map(({ name }, index) => [name, parser.processedArgs[index]]),
  )
  const options: Record<string, unknown> = {}
  for (const [key, option] of Object.entries(definition.options ?? {})) options[key] = values[key] ?? option.fallback
  const globals = Object.fromEntries(
    GLOBALS.map(([long]) => [long, values[`global_${long}`]]).filter(([, value]) => value !== undefined),
  )
  return { args, options, globals }
}

/** The text of a command's `--help`. */
export function commandHelp(definition: AnyCommand): string {
  const parser = parserOf(definition)
  const examples = definition.examples.map(({ does, words }) => `  # ${does}\n  warren ${words}`).join('\n\n')
  const description = definition.description === undefined ? '' : `\n\n${wrap(definition.description)}`
  const aliases = definition.aliases?.length
    ? `\n\nAlso: ${definition.aliases.map((alias) => `warren ${alias}`).join(', ')}`
    : ''
  const help = parser.helpInformation().trimEnd()
  return `${definition.summary}.${description}\n\n${help}${aliases}\n\nExamples:\n${examples}`
}

/** Text in lines of at most `HELP_COLUMNS` characters, whatever lines it came in. */
function wrap(text: string): string {
  const lines: string[] = ['']
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) as string
    if (last === '') lines[lines.length - 1] = word
    else if (last.length + 1 + word.length > HELP_COLUMNS) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}

function helpAsked(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end === -1 ? words : words.slice(0, end)).some((word) => word === '--help' || word === '-h')
}

function parserOf(definition: AnyCommand): Command {
  const parser = new Command(`warren ${definition.name}`).exitOverride().configureOutput({ writeErr: () => undefined })
  for (const argument of definition.arguments ?? []) parser.argument(formOf(argument), argument.description)
  for (const [key, option] of Object.entries(definition.options ?? {})) parser.addOption(optionOf(key, option))
  const taken = new Set(
    Object.entries(definition.options ?? {}).flatMap(([key, option]) => [dashed(key), option.short]),
  )
  for (const [long, short, value, description] of GLOBALS) {
    if (taken.has(long)) continue
    const flags = `${short === undefined || taken.has(short) ? '' : `-${short}, `}--${long}${value === undefined ? '' : ` <${value}>`}`
    const option = new CommanderOption(flags, description).helpGroup('Options of every command:')
    option.attributeName = () => `global_${long}`
    parser.addOption(option)
  }
  parser.addHelpOption(new CommanderOption('-h, --help', 'show this help').helpGroup('Options of every command:'))
  return parser
}

function formOf({ name, optional, rest }: Argument): string {
  const word = `${name.toUpperCase()}${rest === true ? '...' : ''}`
  return optional === true ? `[${word}]` : `<${word}>`
}

function optionOf(key: string, option: Option<unknown>): CommanderOption {
  const short = option.short === undefined ? '' : `-${option.short}, `
  const value = option.kind === 'flag' ? '' : ` <${option.value ?? placeholders[option.kind]}>`
  const made = new CommanderOption(`${short}--${dashed(key)}${value}`, option.description)
  made.attributeName = () => key
  // `--no-start` is an option of that name, not the opposite of `--start`.
  made.negate = false
  if (option.choices !== undefined) made.choices(option.choices)
  const parse = parsers[option.kind]
  if (parse !== undefined) made.argParser(parse)
  return made
}

const placeholders: Record<string, string> = {
  text: 'TEXT',
  list: 'TEXT',
  integer: 'N',
  duration: 'TIME',
  choice: 'WORD',
}

const parsers: Record<string, ((value: string, before: unknown) => unknown) | undefined> = {
  list: (value, before) => [...((before as string[] | undefined) ?? []), value],
  integer: (value) => {
    if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.')
    return Number(value)
  },
  duration: (value) => {
    const milliseconds = parseDuration(value)
    if (milliseconds === undefined) throw new InvalidArgumentError('It must be a time such as 500ms, 10s, 5m or 1h30m.')
    return milliseconds
  },
}

function dashed(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
