import { z } from 'zod'
import { parseDuration } from '../base/durations.ts'
import { parseSize } from '../base/sizes.ts'

/** What a text value means, for help texts and for the resolving of paths. */
export type FieldFormat = 'duration' | 'size' | 'path' | 'secret'

/** The formats of schemas made here; wrappers such as `.prefault()` and `.describe()` are looked through by the reader. */
export const fieldFormats = z.registry<{ format: FieldFormat }>()

/** A duration written as `250ms`, `90s`, `10m` or `1h30m`; the value is in milliseconds. A bare number is refused. */
export function durationField(fallback: string) {
  const form = 'must be a duration such as 250ms, 90s, 10m or 1h30m'
  return parsedText('duration', form, parseDuration).prefault(fallback)
}

/** A size written as `512KB`, `10MB` or `4GiB`; the value is in bytes. A bare number is refused. */
export function sizeField(fallback: string) {
  return parsedText('size', 'must be a size such as 512KB, 10MB or 4GiB', parseSize).prefault(fallback)
}

/**
 * A path. A relative one is relative to the config file that holds it (to the working folder where it comes from the
 * environment or an option, to the home where it is the default); `~/` is the user's home folder. The value is absolute.
 */
export function pathField(fallback: string) {
  const schema = z.string({ error: 'must be a path' }).min(1, 'must not be empty')
  return withFormat(schema, 'path').prefault(fallback)
}

/** A secret, empty where there is none. Commands that show the config say only that it is set. */
export function secretField(pattern: RegExp, form: string) {
  // The text of a fault must not quote the value, so the pattern is not zod's own.
  const schema = z.string({ error: form }).refine((text) => text === '' || pattern.test(text), { error: form })
  return withFormat(schema, 'secret').prefault('')
}

function parsedText(format: FieldFormat, form: string, parse: (text: string) => number | undefined) {
  const schema = z.string({ error: form }).transform((text, context) => {
    const value = parse(text)
    if (value !== undefined) return value
    context.issues.push({ code: 'custom', message: `${form}, not ${JSON.stringify(text)}`, input: text })
    return z.NEVER
  })
  return withFormat(schema, format)
}

function withFormat<S extends z.ZodType>(schema: S, format: FieldFormat): S {
  fieldFormats.add(schema, { format })
  return schema
}
