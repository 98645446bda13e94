import { dirname, join, resolve } from 'node:path'
import { WarrenError } from '../../base/errors.ts'
import { type CommandContext, text } from '../../command/index.ts'
import { findHomeFolders, readRosterIn } from '../../identity/index.ts'

export const fileOption = text({
  value: 'FILE',
  description: 'read this audit.log, and what was set aside beside it, without a daemon',
})

/**
 * The log to read without a daemon: the one that was named, or after `daemon_not_running` the one of the home. Any other
 * failure is thrown again.
 */
export async function offlineFile(
  context: CommandContext,
  { file, error }: { file: string | undefined; error?: unknown },
): Promise<string> {
  if (file !== undefined) return resolve(context.cwd, file)
  if (context.remote || !(error instanceof WarrenError) || error.code !== 'daemon_not_running') throw error
  const found = join(dirname(await rosterFolderOf(context)), 'audit.log')
  context.say(context.style.dim(`the daemon is not running: ${found} is read as it is`))
  return found
}

/** Names of nodes by the roster of the home; ids where that cannot be read. */
export async function offlineNames(context: CommandContext): Promise<(id: string) => string> {
  const roster = await rosterFolderOf(context)
    .then(readRosterIn)
    .catch(() => undefined)
  return (id) => roster?.state.nodes.get(id)?.name ?? id
}

async function rosterFolderOf(context: CommandContext): Promise<string> {
  const { config, env, cwd } = context
  return (await findHomeFolders({ home: await context.nodeHome(), config, env, cwd })).rosterFolder
}
