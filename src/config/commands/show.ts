import { type AnyCommand, defineCommand, flag } from '../../command/index.ts'
import { listKeys } from '../keys.ts'
import { nestSettings, type Origin } from '../load.ts'
import { toInlineYaml } from '../template.ts'
import { loadForContext } from './context.ts'
import type { SectionList } from './index.ts'

/** `config show`. */
export function createShowCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config show',
    summary: 'Show every key of the config and its value',
    description:
      'The values are those that a daemon started now would use: options over environment over file over defaults.',
    options: { origins: flag({ description: 'show where each value comes from' }) },
    examples: [
      { does: 'every value that counts', words: 'config show' },
      { does: 'and where it comes from', words: 'config show --origins' },
    ],
    run: async ({ options, context }) => {
      const { file, settings, origins } = await loadForContext(context, sections)
      const keys = listKeys(await sections())
      context.say(file === undefined ? 'no config file: defaults and environment' : `from ${file}`)
      const origin = (name: string): string => describeOrigin(origins[name] as Origin, name, keys)
      return {
        json: { file: file ?? null, config: nestSettings(keys, settings), ...(options.origins ? { origins } : {}) },
        human: {
          columns: [{ title: 'KEY' }, { title: 'VALUE' }, ...(options.origins ? [{ title: 'FROM' }] : [])],
          rows: keys.map(({ name }) => [
            name,
            settings[name] === undefined ? '-' : toInlineYaml(settings[name]),
            ...(options.origins ? [origin(name)] : []),
          ]),
        },
      }
    },
  })
}

function describeOrigin(origin: Origin, name: string, keys: readonly { name: string; variable: string }[]): string {
  return origin === 'environment' ? (keys.find((key) => key.name === name)?.variable ?? origin) : origin
}
