import { resolve } from 'node:path'
import type { ApiClient } from '../../api/contract.ts'
import { WarrenError } from '../../base/errors.ts'
import type { CommandContext } from '../../command/index.ts'
import { findHomeFolders, type HomeFolders } from '../home-folders.ts'
import { KEY_FILES } from '../keyring.ts'

/** The folders of the home that a command works on. */
export async function foldersFor(context: CommandContext): Promise<HomeFolders> {
  const { config, env, cwd } = context
  return await findHomeFolders({ home: await context.nodeHome(), config, env, cwd })
}

/** What the daemon answers, or where none runs what the disk says. */
export async function askOrRead<T>(
  context: CommandContext,
  { ask, read }: { ask(client: ApiClient): Promise<T>; read(folders: HomeFolders): Promise<T> },
): Promise<T> {
  try {
    return await ask(await context.connect())
  } catch (error) {
    if (context.remote || !(error instanceof WarrenError) || error.code !== 'daemon_not_running') throw error
  }
  return await read(await foldersFor(context))
}

/** The private key file that a word means: `authority`, `signing`, or a path. */
export async function keyFileOf(word: string, context: CommandContext): Promise<string> {
  if (word !== 'authority' && word !== 'signing') return resolve(context.cwd, word)
  return resolve((await foldersFor(context)).keysFolder, KEY_FILES[word])
}

/** The same error, which says also that this node alone can be told to trust the key. */
export function withLocalHint(thrown: unknown, file: string): unknown {
  const isOurs = thrown instanceof WarrenError
  if (!isOurs || !['daemon_not_running', 'not_admin', 'role_required', 'key_locked'].includes(thrown.code))
    return thrown
  const { code, status, message, details, hint } = thrown
  const local = `Accept it on this node alone: warren key trust ${file} --local`
  return new WarrenError(code, status, message, {
    cause: thrown,
    hint: hint === undefined ? local : `${hint}\n${local}`,
    ...(details === undefined ? {} : { details }),
  })
}
