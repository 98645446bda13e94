import { join } from 'node:path'
import { z } from 'zod'
import { pathExists, readFileBounded } from '../base/files.ts'
import { type ConfigFault, configErrors, configInvalid } from './errors.ts'
import { CONFIG_VERSION, type Migration, migrateConfigText } from './migrate.ts'
import type { Section } from './section.ts'

/** The file's name in a home. */
export const CONFIG_FILE_NAME = 'config.yaml'
/** The home of the system service, and where its config is when the home has none (DMN-4). */
export const SYSTEM_PLACES = { home: '/var/lib/warren', file: '/etc/warren/config.yaml' } as const
/** A config is a few kilobytes; what is longer was not written by a person. */
const MAX_CONFIG_BYTES = 256 * 1024

export interface ConfigPlaces {
  /** Named by the user: it must exist. */
  readonly file?: string | undefined
  readonly home: string
  /** The places of the system service; for tests. */
  readonly system?: { readonly home: string; readonly file: string }
}

/** What a file holds, before it is merged with anything. */
export interface ConfigFile {
  readonly file: string
  /** At the current version. */
  readonly text: string
  /** By section, as written. */
  readonly values: Readonly<Record<string, unknown>>
  readonly warnings: readonly string[]
  /** The version the file had on disk. */
  readonly version: number
}

/**
 * The config file that counts: the one named, else `config.yaml` in the home, else the system's when the home is the
 * system's. Undefined where there is none. Fails with `config_not_found` when the one named does not exist.
 */
export async function findConfigFile({
  file,
  home,
  system = SYSTEM_PLACES,
}: ConfigPlaces): Promise<string | undefined> {
  if (file !== undefined) {
    if (await pathExists(file)) return file
    throw configErrors.config_not_found(`there is no config file ${file}`, {
      hint: 'Check the path given by --config.',
    })
  }
  const candidates = [join(home, CONFIG_FILE_NAME), ...(home === system.home ? [system.file] : [])]
  for (const candidate of candidates) if (await pathExists(candidate)) return candidate
  return undefined
}

/** The text of a config file. Fails with `config_not_found`, or `config_invalid` where it is too long or no UTF-8 text. */
export async function readConfigText(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_CONFIG_BYTES).catch((error: unknown) => {
    const code = (error as { code?: string }).code
    if (code === 'EISDIR') throw configInvalid([{ place: file, key: '', message: 'is a folder, not a file' }])
    if (code === 'invalid_value') {
      throw configInvalid([{ place: file, key: '', message: `is longer than ${MAX_CONFIG_BYTES} bytes` }])
    }
    throw error
  })
  if (bytes === undefined) throw configErrors.config_not_found(`there is no config file ${file}`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw configInvalid([{ place: file, key: '', message: 'is not UTF-8 text' }])
  }
}

/**
 * Checks a config text whole: syntax, version, unknown keys, values. Gives what it holds, migrated to the current
 * version. Fails with `config_invalid` naming every fault with line and column, or `config_version_unknown`.
 */
export async function parseConfigText(
  text: string,
  options: { readonly file: string; readonly sections: readonly Section[]; readonly migrations?: readonly Migration[] },
): Promise<ConfigFile> {
  const { file, sections, migrations } = options
  const migrated = await migrateConfigText(text, file, migrations)
  const { parseYaml } = await import('../base/yaml.ts')
  const plain = parseYaml({ text: migrated.text, file, schema: z.record(z.string(), z.unknown()) })
  const empty = plain.value !== undefined && Object.keys(plain.value).length === 0
  const checked = empty ? plain : parseYaml({ text: migrated.text, file, schema: createConfigSchema(sections) })
  const shown = migrated.steps.length === 0 ? file : `${file} (read as version ${CONFIG_VERSION})`
  const faults = checked.faults.map(
    ({ line, column, path, message }): ConfigFault => ({ place: `${shown}:${line}:${column}`, key: path, message }),
  )
  if (faults.length > 0) throw configInvalid(faults)
  const warnings = migrated.steps.map((step) => `${file} is of version ${migrated.from}: ${step}`)
  const { version: _version, ...values } = plain.value ?? {}
  return { file, text: migrated.text, values, warnings, version: migrated.from }
}

/** The schema of a whole config file: the version and every section; a section header without keys counts as empty. */
export function createConfigSchema(sections: readonly Section[]): z.ZodType<Record<string, unknown>> {
  const version = z.literal(CONFIG_VERSION, { error: `must be ${CONFIG_VERSION}, as in "version: ${CONFIG_VERSION}"` })
  const shape = sections.map(({ name, schema }) => {
    const headerOnly = z.null().transform((): undefined => undefined)
    return [
      name,
      z.union([schema, headerOnly], { error: 'must be a map of keys, indented below the section' }),
    ] as const
  })
  return z.strictObject({ version, ...Object.fromEntries(shape) })
}
