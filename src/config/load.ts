import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { type ConfigFault, configErrors, configInvalid } from './errors.ts'
import { type ConfigPlaces, findConfigFile, parseConfigText, readConfigText } from './file.ts'
import { type ConfigKey, listKeys, readKeyText, resolvePaths } from './keys.ts'
import type { Migration } from './migrate.ts'
import type { ConfigValues, Section } from './section.ts'

/** Where the value of a key comes from. */
export type Origin = 'default' | 'file' | 'environment' | 'flag'

/** What to load, and from where. */
export interface LoadOptions<T extends readonly Section[]> extends ConfigPlaces {
  readonly sections: T
  readonly env: Readonly<Record<string, string | undefined>>
  /** Values of command-line options by key (`logging.level`), in the form that the file has; undefined ones do not count. */
  readonly flags?: Readonly<Record<string, unknown>>
  /** What relative paths from environment and options are relative to. Default: the process's working folder. */
  readonly cwd?: string
  readonly migrations?: readonly Migration[]
}

/** A config that was read, merged and checked. */
export interface LoadedConfig<T extends readonly Section[] = readonly Section[]> {
  /** Parsed: durations in milliseconds, sizes in bytes, paths absolute. */
  readonly values: ConfigValues<T>
  /** The file that was read. */
  readonly file: string | undefined
  /** By key. */
  readonly origins: Readonly<Record<string, Origin>>
  /** By key, as one would write it in the file (`10m`); paths absolute. */
  readonly settings: Readonly<Record<string, unknown>>
  /** For the log or stderr: an older version of the file, variables that look like keys and are none. */
  readonly warnings: readonly string[]
}

/**
 * Reads the config: options over environment (`WARREN_SECTION_KEY`) over file over defaults. The file must be right by
 * itself, even where a value in it is overridden. Fails with `config_invalid` (every fault, with line and column, name
 * of the variable, or key of the option), `config_not_found`, `config_version_unknown`. Reads only.
 */
export async function loadConfig<const T extends readonly Section[]>(
  options: LoadOptions<T>,
): Promise<LoadedConfig<T>> {
  const { sections, env, flags = {}, cwd = process.cwd() } = options
  const path = await findConfigFile(options)
  const file =
    path === undefined ? undefined : await parseConfigText(await readConfigText(path), { ...options, file: path })
  const keys = listKeys(sections)
  await refuseUnknownFlags(keys, flags)

  const bases: Record<Origin, string> = {
    flag: cwd,
    environment: cwd,
    file: path === undefined ? cwd : dirname(resolve(cwd, path)),
    default: options.home,
  }
  const origins: Record<string, Origin> = {}
  const settings: Record<string, unknown> = {}
  const faults: ConfigFault[] = []
  for (const key of keys) {
    const { origin, value } = pick(key, { flags, env, file: file?.values })
    origins[key.name] = origin
    if (value === undefined) continue
    settings[key.name] = resolvePaths(key, value, { base: bases[origin], userHome: env.HOME })
    if (origin === 'environment' || origin === 'flag') faults.push(...checkKey(key, origin, settings[key.name]))
  }
  if (faults.length > 0) throw configInvalid(faults, 'Correct the variable or option that is named, then try again.')
  return {
    values: (await parseSections(sections, { keys, settings, origins, file })) as ConfigValues<T>,
    file: path,
    origins,
    settings,
    warnings: [...(file?.warnings ?? []), ...findStrayVariables(sections, keys, env)],
  }
}

/** The value at a path of nested maps; undefined where the path leaves them. */
export function valueAt(values: unknown, path: readonly string[]): unknown {
  let current = values
  for (const step of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, step)) return undefined
    current = (current as Record<string, unknown>)[step]
  }
  return current
}

/** The settings as nested maps, as the file would hold them. */
export function nestSettings(
  keys: readonly ConfigKey[],
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const nested: Record<string, unknown> = {}
  for (const { name, path } of keys) {
    if (settings[name] === undefined) continue
    let map = nested
    for (const step of path.slice(0, -1)) {
      map[step] ??= {}
      map = map[step] as Record<string, unknown>
    }
    map[path.at(-1) as string] = settings[name]
  }
  return nested
}

interface Layers {
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file: Readonly<Record<string, unknown>> | undefined
}

function pick(key: ConfigKey, { flags, env, file }: Layers): { origin: Origin; value: unknown } {
  if (flags[key.name] !== undefined) return { origin: 'flag', value: flags[key.name] }
  const text = env[key.variable]
  if (text !== undefined) return { origin: 'environment', value: readKeyText(key, text) }
  const written = valueAt(file, key.path)
  if (written !== undefined) return { origin: 'file', value: written }
  return { origin: 'default', value: key.fallback }
}

function checkKey(key: ConfigKey, origin: 'environment' | 'flag', value: unknown): ConfigFault[] {
  const place = origin === 'environment' ? key.variable : 'option'
  const issues = key.schema.safeParse(value).error?.issues ?? []
  return issues.map((issue) => ({
    place,
    key: [key.name, ...issue.path.map(String)].join('.'),
    message: issue.message,
  }))
}

interface Merged {
  readonly keys: readonly ConfigKey[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly origins: Readonly<Record<string, Origin>>
  readonly file: { readonly file: string; readonly text: string } | undefined
}

/** Every value is right by itself here; what can still fail is a rule between keys that come from different places. */
async function parseSections(sections: readonly Section[], merged: Merged): Promise<Record<string, unknown>> {
  const nested = nestSettings(merged.keys, merged.settings)
  const values: Record<string, unknown> = {}
  const faults: ConfigFault[] = []
  for (const { name, schema } of sections) {
    const parsed = schema.safeParse(nested[name] ?? {})
    if (parsed.success) values[name] = parsed.data
    else for (const issue of parsed.error.issues) faults.push(await placeIssue(name, issue, merged))
  }
  if (faults.length > 0) throw configInvalid(faults)
  return values
}

async function placeIssue(section: string, issue: z.core.$ZodIssue, merged: Merged): Promise<ConfigFault> {
  const path = [section, ...issue.path.map(String)]
  const key = merged.keys.find(({ name }) => `${path.join('.')}.`.startsWith(`${name}.`))
  const origin = key === undefined ? 'default' : merged.origins[key.name]
  const fault = { key: path.join('.'), message: issue.message }
  if (origin === 'environment' && key !== undefined) return { place: key.variable, ...fault }
  if (origin === 'flag') return { place: 'option', ...fault }
  if (merged.file === undefined) return { place: 'default', ...fault }
  const { locateInYaml } = await import('../base/yaml.ts')
  const { line, column } = locateInYaml(merged.file.text, path)
  return { place: `${merged.file.file}:${line}:${column}`, ...fault }
}

async function refuseUnknownFlags(keys: readonly ConfigKey[], flags: Readonly<Record<string, unknown>>): Promise<void> {
  for (const name of Object.keys(flags)) await findKey(keys, name)
}

/** The key of that name. Fails with `config_key_unknown`, naming the nearest one. */
export async function findKey(keys: readonly ConfigKey[], name: string): Promise<ConfigKey> {
  const key = keys.find((candidate) => candidate.name === name)
  if (key !== undefined) return key
  const { nearestWord } = await import('../base/yaml.ts')
  const near = nearestWord(
    name,
    keys.map((candidate) => candidate.name),
  )
  throw configErrors.config_key_unknown(
    `"${name}" is not a key of the config${near === undefined ? '' : `; did you mean ${near}?`}`,
    { hint: 'See all keys: warren config show' },
  )
}

function findStrayVariables(
  sections: readonly Section[],
  keys: readonly ConfigKey[],
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const known = new Set(keys.map(({ variable }) => variable))
  const prefixes = sections.map(({ name }) => `WARREN_${name.toUpperCase()}_`)
  return Object.keys(env)
    .filter((name) => !known.has(name) && prefixes.some((prefix) => name.startsWith(prefix)))
    .sort()
    .map((name) => `the variable ${name} is set, but no key of the config has that name`)
}
