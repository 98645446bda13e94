import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { WarrenError } from '../../base/errors.ts'
import { writeFileAtomic } from '../../base/files.ts'
import { type AnyCommand, type CommandContext, defineCommand } from '../../command/index.ts'
import { type ConfigDraft, openConfig, writeConfig } from '../change.ts'
import { configErrors } from '../errors.ts'
import { placesOf, TAKES_EFFECT } from './context.ts'
import type { SectionList } from './index.ts'

/** `config edit`. */
export function createEditCommand(sections: SectionList): AnyCommand {
  return defineCommand({
    name: 'config edit',
    summary: 'Open the config file in your editor and check it after',
    description:
      'Opens $VISUAL, else $EDITOR, else vi, on a copy. When the editor ends the copy is checked and takes the place of ' +
      'the file; a faulty one is kept beside it as NAME.rejected and the file stays as it was.',
    examples: [
      { does: 'edit the config', words: 'config edit' },
      { does: 'the config of the system service', words: 'config edit --config /etc/warren/config.yaml' },
    ],
    run: async ({ context }) => {
      const places = await placesOf(context)
      const draft = await openConfig({ ...places, sections: await sections() })
      const text = await editText(draft, context)
      const changed = text !== draft.text
      if (changed) {
        await writeOrReject(draft, text)
        context.say(TAKES_EFFECT)
      }
      return { json: { file: draft.file, changed }, human: changed ? `${draft.file} changed` : 'nothing changed' }
    },
  })
}

/** The text as the editor left it. The copy is in a folder that only its owner can read, and is gone after. */
async function editText(draft: ConfigDraft, context: CommandContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-config-'))
  try {
    const copy = join(folder, basename(draft.file))
    await writeFile(copy, draft.text, { mode: 0o600 })
    await runEditor(copy, context)
    return await readFile(copy, 'utf8')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Runs the editor in the foreground. It is not ended when the command is interrupted: Ctrl-C reaches the editor too, and
 * there it means something of its own.
 */
function runEditor(file: string, context: CommandContext): Promise<void> {
  const editor = context.env.VISUAL || context.env.EDITOR || 'vi'
  const failed = (what: string): WarrenError =>
    configErrors.config_editor_failed(`the editor "${editor}" ${what}; nothing was changed`, {
      hint: 'Set VISUAL or EDITOR to your editor, or use: warren config set KEY VALUE',
    })
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], {
      stdio: ['inherit', context.json ? process.stderr : 'inherit', 'inherit'],
      cwd: context.cwd,
      env: context.env as NodeJS.ProcessEnv,
    })
    child.once('error', (error) => reject(failed(`did not start: ${error.message}`)))
    child.once('exit', (code, signal) => {
      if (code === 0) resolve()
      else reject(failed(code === 127 ? 'was not found' : `ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}

async function writeOrReject(draft: ConfigDraft, text: string): Promise<void> {
  try {
    await writeConfig(draft, text)
  } catch (error) {
    if (!(error instanceof WarrenError)) throw error
    const rejected = `${draft.file}.rejected`
    await writeFileAtomic(rejected, text)
    throw new WarrenError(error.code, error.status, error.message, {
      cause: error,
      hint: `The file is as it was; your text is kept in ${rejected}. Correct it there, then: warren config validate ${rejected}`,
      ...(error.details === undefined ? {} : { details: { ...error.details, rejected } }),
    })
  }
}
