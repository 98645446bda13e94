import { relative, resolve } from 'node:path'
import { defineCommand } from '../../command/index.ts'
import { writeStarter } from '../starter.ts'

export const initAppCommand = defineCommand({
  name: 'init app',
  summary: 'Write a starter app that packs and runs as it is',
  description: 'Writes manifest.yaml, run.sh and README.md. Files that are already there are never overwritten.',
  arguments: [
    {
      name: 'folder',
      description: 'where to write it; default the current folder',
      optional: true,
      complete: 'folder',
    },
  ],
  examples: [
    { does: 'start an app in ./hello', words: 'init app hello' },
    { does: 'then run it on this node', words: 'run hello' },
  ],
  run: async ({ args, context }) => {
    const folder = resolve(context.cwd, args.folder ?? '.')
    const { name, files } = await writeStarter(folder)
    const shown = relative(context.cwd, folder) || '.'
    return {
      json: { folder, name, files },
      human: `${files.join('  ')}  in ${shown}\nnext: warren run ${shown}`,
    }
  },
})
