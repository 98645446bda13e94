import { type AnyCommand, defineCommand } from '../../command/index.ts'
import { changeConfig } from '../change.ts'
import { configInvalid } from '../errors.ts'
import { listKeys, readKeyText } from '../keys.ts'
import { findKey } from '../load.ts'
import { toInlineYaml } from '../template.ts'
import { placesOf, TAKES_EFFECT } from './context.ts'
import type { SectionList } from './index.ts'

/** `config set`. */
export function createSetCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config set',
    summary: 'Change one value in the config file',
    description:
      'Comments and order of the file stay as they are. A file that would be wrong is not written. Lists are given with ' +
      'commas, or as JSON. Where there is no file yet, one with all defaults as comments is made.',
    arguments: [
      { name: 'key', description: 'key, such as logging.level' },
      { name: 'value', description: 'the new value' },
    ],
    examples: [
      { does: 'log more', words: 'config set logging.level debug' },
      { does: 'log for machines', words: 'config set logging.format json' },
    ],
    run: async ({ args, context }) => {
      const places = await placesOf(context)
      const list = await sections()
      const key = await findKey(listKeys(list), args.key)
      const value = readKeyText(key, args.value)
      const wrong = key.schema.safeParse(value).error?.issues ?? []
      if (wrong.length > 0) {
        const faults = wrong.map(({ message }) => ({ place: `"${args.value}"`, key: key.name, message }))
        throw configInvalid(faults, 'Nothing was changed. What each key takes: warren config show')
      }
      const { setConfigValue } = await import('../edit.ts')
      const { draft } = await changeConfig({ ...places, sections: list }, (text) =>
        setConfigValue(text, key.path, value),
      )
      if (context.env[key.variable] !== undefined) {
        context.say(`warning: the variable ${key.variable} is set, and wins over the file`)
      }
      context.say(TAKES_EFFECT)
      return { json: { file: draft.file, key: key.name, value }, human: `${key.name}: ${toInlineYaml(value)}` }
    },
  })
}
