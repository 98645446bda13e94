import { writeSync } from 'node:fs'
import { type DestinationStream, type LoggerOptions, pino } from 'pino'
import { type Clock, systemClock } from './clock.ts'
import { WarrenError } from './errors.ts'
import type { Logger } from './log.ts'
import { TokenBuckets } from './token-buckets.ts'

export interface LogOptions {
  level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  format: 'json' | 'console'
  /** Where lines go; default standard error. */
  destination?: { write(line: string): void }
  readonly clock?: Clock
}

/** Lines of one message: much of what is logged others can cause, as often as they like. A day of it is some 50 MB. */
const LINES = { perSecond: 2, burst: 500, maxKeys: 512 }
/** Pino's number of `info`; who turns on `debug` wants all. */
const INFO = 30

const STANDARD_ERROR = 2

/** Fields whose values never reach a log, wherever they stand. */
const SECRET_FIELDS = ['privateKey', 'networkKey', 'cookie', 'token', 'secret', 'passphrase', 'phrase', 'authorization']

/** The daemon's log (OBS-4): one JSON object a line, or a line for people. Secrets are replaced by their field name. */
export function createLogger({ level, format, destination, clock = systemClock }: LogOptions): Logger {
  const sink = destination ?? { write: writeToStandardError }
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
      hooks: { logMethod: limitLines(clock) },
    },
    stream,
  )
}

/** A line that cannot be written, as on a full disk, is lost; what it tells of goes on, and so do the lines after it. */
function writeToStandardError(line: string): void {
  try {
    writeSync(STANDARD_ERROR, line)
  } catch (error) {
    // A pipe whose reader is slow: the stream waits for it.
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') process.stderr.write(line)
  }
}

/** Leaves out lines of a message that comes too often; the next one says how many. */
function limitLines(clock: Clock): NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> {
  const lines = new TokenBuckets({ ...LINES, clock })
  const leftOut = new Map<string, number>()
  return function (args, write, level) {
    const [fields, message = ''] = args as unknown as [fields: unknown, message?: string]
    const before = leftOut.get(message)
    if (level >= INFO && !lines.take(message)) {
      if (leftOut.size < LINES.maxKeys) leftOut.set(message, (before ?? 0) + 1)
      return
    }
    if (before === undefined) return write.apply(this, args)
    leftOut.delete(message)
    const plain = fields instanceof Error ? { err: fields } : (fields as object)
    write.apply(this, [{ ...plain, left_out_before: before }, message])
  }
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
