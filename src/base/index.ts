/**
 * base: what every other folder stands on, with no word of the domain in it.
 *
 * Errors with stable codes, the clock, waiting, backoff, durations and sizes, atomic files, a typed event bus,
 * counters, and the log. Any file of this folder may be imported directly (`../base/clock.ts`), so that a command
 * loads only what it uses. It never imports another folder, never reads the environment and does no work at import.
 *
 * ```ts
 * const appErrors = defineErrors({ app_not_found: { status: 404, summary: 'No app of that name is installed here.' } })
 * throw appErrors.app_not_found('no app "api" on burrow-1', { hint: 'See what is there: warren list' })
 * ```
 */
export * from './backoff.ts'
export * from './bytes.ts'
export * from './clock.ts'
export * from './counters.ts'
export * from './durations.ts'
export * from './errors.ts'
export * from './events.ts'
export * from './files.ts'
export type { Logger } from './log.ts'
export * from './wait.ts'
