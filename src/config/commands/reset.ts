import { type AnyCommand, defineCommand } from '../../command/index.ts'
import { changeConfig } from '../change.ts'
import { listKeys } from '../keys.ts'
import { findKey } from '../load.ts'
import { toInlineYaml } from '../template.ts'
import { placesOf, TAKES_EFFECT } from './context.ts'
import type { SectionList } from './index.ts'

/** `config reset`. */
export function createResetCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config reset',
    summary: 'Take a value out of the config file, so that the default counts',
    arguments: [{ name: 'key', description: 'key, such as logging.level' }],
    examples: [{ does: 'log as much as by default', words: 'config reset logging.level' }],
    run: async ({ args, context }) => {
      const places = await placesOf(context)
      const list = await sections()
      const key = await findKey(listKeys(list), args.key)
      const { resetConfigValue } = await import('../edit.ts')
      const { draft, changed } = await changeConfig({ ...places, sections: list }, (text) =>
        resetConfigValue(text, key.path),
      )
      if (changed) context.say(TAKES_EFFECT)
      return {
        json: { file: draft.original === undefined ? null : draft.file, key: key.name, value: key.fallback, changed },
        human: `${key.name}: ${toInlineYaml(key.fallback ?? null)} (default)${changed ? '' : ', it was not set in the file'}`,
      }
    },
  })
}
