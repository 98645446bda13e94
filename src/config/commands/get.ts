import { type AnyCommand, defineCommand } from '../../command/index.ts'
import { listKeys } from '../keys.ts'
import { findKey, nestSettings, valueAt } from '../load.ts'
import { toInlineYaml } from '../template.ts'
import { loadForContext } from './context.ts'
import type { SectionList } from './index.ts'

/** `config get`. */
export function createGetCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config get',
    summary: 'Show one value of the config',
    arguments: [{ name: 'key', description: 'key, such as logging.level, or a whole section' }],
    examples: [
      { does: 'how much is logged', words: 'config get logging.level' },
      { does: 'a whole section for a script', words: 'config get storage --json' },
    ],
    run: async ({ args, context }) => {
      const { settings, origins } = await loadForContext(context, sections)
      const keys = listKeys(await sections())
      const isSection = keys.some(({ name }) => name.startsWith(`${args.key}.`))
      if (isSection) {
        const value = valueAt(nestSettings(keys, settings), args.key.split('.'))
        const inside = keys.filter(({ name }) => name.startsWith(`${args.key}.`))
        const lines = inside.map(({ name }) => `${name}: ${toInlineYaml(settings[name] ?? null)}`)
        return { json: { key: args.key, value: value ?? {} }, human: lines.join('\n') }
      }
      const { name } = await findKey(keys, args.key)
      const value = settings[name] ?? null
      return {
        json: { key: name, value, origin: origins[name] },
        human: typeof value === 'string' ? value : toInlineYaml(value),
      }
    },
  })
}
