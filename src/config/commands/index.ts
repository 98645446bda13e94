import type { CommandEntry } from '../../command/index.ts'
import type { Section } from '../index.ts'

/** Gives every section of the program; called only when a command of config runs. */
export type SectionList = () => Promise<readonly Section[]>

/** The commands of config, over the program's sections. */
export function configCommands(sections: SectionList): CommandEntry[] {
  const group = 'Settings'
  return [
    {
      name: 'config show',
      summary: 'Show every key of the config and its value',
      group,
      load: () => import('./show.ts').then((m) => m.createShowCommand(sections)),
    },
    {
      name: 'config get',
      summary: 'Show one value of the config',
      group,
      load: () => import('./get.ts').then((m) => m.createGetCommand(sections)),
    },
    {
      name: 'config set',
      summary: 'Change one value in the config file',
      group,
      load: () => import('./set.ts').then((m) => m.createSetCommand(sections)),
    },
    {
      name: 'config reset',
      summary: 'Take a value out of the config file, so that the default counts',
      group,
      load: () => import('./reset.ts').then((m) => m.createResetCommand(sections)),
    },
    {
      name: 'config edit',
      summary: 'Open the config file in your editor and check it after',
      group,
      load: () => import('./edit.ts').then((m) => m.createEditCommand(sections)),
    },
    {
      name: 'config validate',
      summary: 'Check a config file',
      group,
      load: () => import('./validate.ts').then((m) => m.createValidateCommand(sections)),
    },
  ]
}
