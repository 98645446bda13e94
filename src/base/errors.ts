/** What a code means: its HTTP status (which gives the exit code too) and one sentence for the docs page. */
export interface ErrorDefinition {
  readonly status: 400 | 401 | 403 | 404 | 408 | 409 | 413 | 422 | 429 | 500 | 501 | 502 | 503 | 504 | 507
  readonly summary: string
}

export interface ErrorOptions {
  /** The next step, as a command or an action; shown below the message. */
  hint?: string
  cause?: unknown
  /** Machine-readable extras; they travel with the error in JSON. Never secrets. */
  details?: Record<string, unknown>
}

/** The one error class. `code` is stable; `message` names the offending value; `hint` says the next step. */
export class WarrenError extends Error {
  override readonly name = 'WarrenError'
  readonly code: string
  readonly status: number
  readonly hint: string | undefined
  readonly details: Record<string, unknown> | undefined

  constructor(code: string, status: number, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = status
    this.hint = options.hint
    this.details = options.details
  }

  /** The shape in which an error is printed with `--json` and sent over the API. */
  toJSON(): { code: string; message: string; hint: string | null; details?: Record<string, unknown> } {
    return {
      code: this.code,
      message: this.message,
      hint: this.hint ?? null,
      ...(this.details === undefined ? {} : { details: this.details }),
    }
  }
}

/** Makes the error of one code. */
export type ErrorFactory = (message: string, options?: ErrorOptions) => WarrenError

/** A folder's part of the catalogue: one factory a code, and the definitions for docs and tests. */
export type ErrorCatalogue<T extends Record<string, ErrorDefinition>> = {
  readonly [K in keyof T]: ErrorFactory
} & { readonly definitions: T }

/** Makes the factories of a folder's `errors.ts`. Every code is `snake_case`, unique in the program. */
export function defineErrors<T extends Record<string, ErrorDefinition>>(definitions: T): ErrorCatalogue<T> {
  const factories: Record<string, unknown> = { definitions }
  for (const [code, definition] of Object.entries(definitions)) {
    factories[code] = (message: string, options?: ErrorOptions) =>
      new WarrenError(code, definition.status, message, options)
  }
  return factories as ErrorCatalogue<T>
}

/** Codes that any folder may need. */
export const baseErrors = defineErrors({
  internal: { status: 500, summary: 'Something that should not happen did; the log of the daemon has the details.' },
  usage: { status: 400, summary: 'The command line or request is not understood.' },
  invalid_value: { status: 400, summary: 'A value does not have the form it must have.' },
  timed_out: { status: 504, summary: 'The time limit passed before the work was done.' },
  cancelled: { status: 408, summary: 'The work was cancelled before it was done.' },
  disk_full: { status: 507, summary: 'The disk, or the quota, is full; nothing half-written was kept.' },
  permission_denied: { status: 403, summary: 'The operating system refused access to a file.' },
  file_not_found: { status: 404, summary: 'A file or folder named in the command does not exist.' },
  port_in_use: { status: 409, summary: 'A port that is needed is taken by another program or app.' },
  not_supported: { status: 501, summary: 'This release, or this machine, does not support what was asked for.' },
})

/** Turns anything thrown into a WarrenError; operating-system errors get the code that fits them. */
export function toWarrenError(thrown: unknown): WarrenError {
  if (thrown instanceof WarrenError) return thrown
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const system = (error as NodeJS.ErrnoException).code
  if (system === 'ENOSPC' || system === 'EDQUOT') {
    return baseErrors.disk_full(error.message, { cause: error, hint: 'Free some space, then try again.' })
  }
  if (system === 'EACCES' || system === 'EPERM') {
    return baseErrors.permission_denied(error.message, { cause: error, hint: 'Check the owner and mode of that path.' })
  }
  if (system === 'EISDIR' || system === 'ENOTDIR') {
    const path = (error as NodeJS.ErrnoException).path ?? 'that path'
    const what = system === 'EISDIR' ? 'a folder, not a file' : 'not a folder'
    return baseErrors.invalid_value(`${path} is ${what}`, { cause: error })
  }
  if (system === 'EROFS') {
    const hint = 'The file system is mounted read-only: make it writable, or use another home (--home FOLDER).'
    return baseErrors.permission_denied(error.message, { cause: error, hint })
  }
  if (system === 'ENOENT') return baseErrors.file_not_found(error.message, { cause: error })
  if (error.name === 'TimeoutError') return baseErrors.timed_out(error.message, { cause: error })
  if (error.name === 'AbortError') return baseErrors.cancelled(error.message, { cause: error })
  return baseErrors.internal(error.message, { cause: error })
}

const EXIT_CODES: Record<number, number> = {
  400: 2,
  401: 4,
  403: 4,
  404: 3,
  408: 130,
  409: 5,
  413: 2,
  422: 2,
  429: 6,
  500: 1,
  501: 7,
  502: 6,
  503: 6,
  504: 6,
  507: 8,
}

/**
 * The exit code of an error with this HTTP status: 1 internal, 2 wrong input, 3 not found, 4 refused, 5 conflict,
 * 6 unavailable or timed out, 7 not supported, 8 disk full, 130 cancelled.
 */
export function exitCodeOf(status: number): number {
  return EXIT_CODES[status] ?? 1
}
