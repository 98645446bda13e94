import { type DestinationStream, pino } from 'pino'
import { WarrenError } from './errors.ts'
import type { Logger } from './log.ts'

export interface LogOptions {
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  format: 'json' | 'console'
  /** Where lines go; default standard error. */
  destination?: { write(line: string): void }
}

/** Fields whose values never reach a log, wherever they stand. */
const SECRET_FIELDS = ['privateKey', 'networkKey', 'cookie', 'token', 'secret', 'passphrase', 'phrase', 'authorization']

/** The daemon's log (OBS-4): one JSON object a line, or a line for people. Secrets are replaced by their field name. */
export function createLogger({ level, format, destination }: LogOptions): Logger {
  const sink = destination ?? { write: (line: string) => void process.stderr.write(line) }
  const redact = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`])
  const stream: DestinationStream = format === 'json' ? sink : { write: (line) => sink.write(forPeople(line)) }
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: plainError, err: plainError },
      redact: { paths: redact, censor: '[secret]' },
    },
    stream,
  )
}

/** Redaction copies what is logged, and a copy of an error has no message. Errors of ours need no stack. */
function plainError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown
  const cause = thrown.cause instanceof Error ? { cause: thrown.cause.message } : {}
  if (thrown instanceof WarrenError && thrown.code !== 'internal') return { ...thrown.toJSON(), ...cause }
  return { name: thrown.name, message: thrown.message, stack: thrown.stack, ...cause }
}

function forPeople(line: string): string {
  const { level, time, message, folder, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const text = `${folder === undefined ? '' : `${String(folder)}: `}${[String(message ?? ''), rest.join(' ')].join('  ').trimEnd()}`
  return `${String(time)} ${String(level).padEnd(5)} ${escapeControls(text)}\n`
}

/** What others say may be in a line: it must not make up lines of its own, nor move the cursor. */
function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    if (character === '\n') return '\\n'
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
