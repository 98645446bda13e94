import { resolve } from 'node:path'
import { type AnyCommand, defineCommand } from '../../command/index.ts'
import { findConfigFile, parseConfigText, readConfigText } from '../file.ts'
import { loadForContext, placesOf } from './context.ts'
import type { SectionList } from './index.ts'

/** `config validate`. */
export function createValidateCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config validate',
    summary: 'Check a config file',
    description:
      'Names every unknown key and wrong value with line and column. Without FILE it checks what a daemon started now ' +
      'would read, environment included.',
    arguments: [{ name: 'file', description: 'config file', optional: true, complete: 'file' }],
    examples: [
      { does: "this home's config", words: 'config validate' },
      { does: 'a file before it is put in place', words: 'config validate new.yaml' },
    ],
    run: async ({ args, context }) => {
      const places = await placesOf(context)
      if (args.file === undefined) {
        const { file, warnings } = await loadForContext(context, sections)
        const subject = file ?? 'no config file: the defaults'
        return { json: { file: file ?? null, valid: true, warnings }, human: `${subject}: valid` }
      }
      const file = (await findConfigFile({ ...places, file: resolve(context.cwd, args.file) })) as string
      const text = await readConfigText(file)
      const { warnings } = await parseConfigText(text, { file: args.file, sections: await sections() })
      for (const warning of warnings) context.say(`warning: ${warning}`)
      return { json: { file, valid: true, warnings }, human: `${args.file}: valid` }
    },
  })
}
