import { baseErrors } from '../../base/errors.ts'
import type { CommandContext } from '../../command/index.ts'
import type { ConfigPlaces } from '../file.ts'
import { listKeys } from '../keys.ts'
import { type LoadedConfig, loadConfig } from '../load.ts'
import type { SectionList } from './index.ts'

/** Where the config of this command is. Fails with `not_supported` for the config of another node. */
export async function placesOf(context: CommandContext): Promise<ConfigPlaces> {
  if (context.remote) {
    throw baseErrors.not_supported('the config of another node cannot be read or changed from here', {
      hint: 'Run the command on that node, without --node.',
    })
  }
  return { file: context.config, home: await context.nodeHome() }
}

/** The config as the daemon of this home would read it, for showing: without secrets. Its warnings are said. */
export async function loadForContext(context: CommandContext, sections: SectionList): Promise<LoadedConfig> {
  const loaded = await loadConfig({
    ...(await placesOf(context)),
    sections: await sections(),
    env: context.env,
    cwd: context.cwd,
  })
  for (const warning of loaded.warnings) context.say(`warning: ${warning}`)
  const secrets = new Set(
    listKeys(await sections())
      .filter(({ format }) => format === 'secret')
      .map(({ name }) => name),
  )
  const shown = Object.entries(loaded.settings).map(([name, value]) => [
    name,
    secrets.has(name) && value !== '' ? '[secret]' : value,
  ])
  return { ...loaded, settings: Object.fromEntries(shown) }
}

/** Said after a change: the daemon reads its config when it starts. */
export const TAKES_EFFECT = 'A running daemon keeps its old values until it is started again.'
