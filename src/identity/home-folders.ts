import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { baseErrors, WarrenError } from '../base/errors.ts'
import { readFileBounded } from '../base/files.ts'
import { TRUSTED_FOLDER } from './keyring.ts'
import { Roster } from './roster/roster.ts'

/** Longer ones are no config; the config folder has the same limit. */
const MAX_CONFIG_BYTES = 256 * 1024
/** The home of the system service, whose config is elsewhere. */
const SYSTEM_HOME = '/var/lib/warren'
const SYSTEM_CONFIG = '/etc/warren/config.yaml'

/** Where the parts of an identity lie. */
export interface HomeFolders {
  readonly keysFolder: string
  readonly trustedFolder: string
  readonly rosterFolder: string
}

/** Which home, and what may say that its parts lie elsewhere. */
export interface HomePlace {
  readonly home: string
  /** A config file that was named; default the home's own. */
  readonly config?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

/** Where the parts of an identity lie in a home, unless its config says otherwise. */
export function foldersOf(home: string): HomeFolders {
  return foldersIn({ keys: join(home, 'keys'), data: home })
}

/**
 * Where the parts of an identity lie, by `storage.keys_dir` and `storage.data_dir` as the daemon of that home reads them.
 * Only these two are looked at, so that commands on keys need not load the whole config. Fails with `invalid_value` where
 * the file is not YAML or they are no paths, and with `file_not_found` where one was named that is not there.
 */
export async function findHomeFolders({ home, config, env, cwd }: HomePlace): Promise<HomeFolders> {
  const own = [join(home, 'config.yaml'), ...(home === SYSTEM_HOME ? [SYSTEM_CONFIG] : [])]
  const written = await readStorage(config === undefined ? own : [resolve(cwd, config)])
  if (config !== undefined && written === undefined) {
    throw baseErrors.file_not_found(`there is no config file ${config}`, { hint: 'Check the path given by --config.' })
  }
  const find = (key: 'keys_dir' | 'data_dir', fallback: string): string => {
    const given = env[`WARREN_STORAGE_${key.toUpperCase()}`]
    if (given !== undefined) return resolveFrom(cwd, given, env)
    const text = written?.storage?.[key]
    return text === undefined ? resolve(home, fallback) : resolveFrom(dirname(written?.file ?? home), text, env)
  }
  return foldersIn({ keys: find('keys_dir', 'keys'), data: find('data_dir', '.') })
}

/** The roster in a folder as it is on disk, for reading; undefined where there is none. Fails as `Roster.open`. */
export async function readRosterIn(folder: string): Promise<Roster | undefined> {
  try {
    return await Roster.open({ folder, readOnly: true })
  } catch (error) {
    if (error instanceof WarrenError && error.code === 'roster_missing') return undefined
    throw error
  }
}

function foldersIn({ keys, data }: { keys: string; data: string }): HomeFolders {
  return { keysFolder: keys, trustedFolder: join(keys, TRUSTED_FOLDER), rosterFolder: join(data, 'roster') }
}

const path = z.string().min(1).optional()
const storageSchema = z.object({
  storage: z.object({ keys_dir: path, data_dir: path }).nullish(),
})

interface Written {
  readonly file: string
  readonly storage:
    | { readonly keys_dir?: string | undefined; readonly data_dir?: string | undefined }
    | null
    | undefined
}

async function readStorage(files: readonly string[]): Promise<Written | undefined> {
  for (const file of files) {
    const bytes = await readFileBounded(file, MAX_CONFIG_BYTES)
    if (bytes === undefined) continue
    const { parseYaml } = await import('../base/yaml.ts')
    const { value, faults } = parseYaml({ text: bytes.toString('utf8'), file, schema: storageSchema })
    if (value !== undefined) return { file, storage: value.storage }
    const [fault] = faults
    throw baseErrors.invalid_value(`${file}:${fault?.line}:${fault?.column}: ${fault?.message}`, {
      hint: 'See all that is wrong with it: warren config validate',
    })
  }
  return undefined
}

function resolveFrom(base: string, text: string, env: HomePlace['env']): string {
  const isHome = env.HOME !== undefined && (text === '~' || text.startsWith('~/'))
  return isHome ? join(env.HOME as string, text.slice(1)) : resolve(base, text)
}
