import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../base/files.ts'
import { configErrors } from './errors.ts'
import { CONFIG_FILE_NAME, type ConfigPlaces, findConfigFile, parseConfigText, readConfigText } from './file.ts'
import { CONFIG_VERSION, type Migration, migrateConfigText } from './migrate.ts'
import type { Section } from './section.ts'
import { writeCommentedConfig } from './template.ts'

/** Which config is changed, and what it may hold. */
export interface ConfigTarget extends ConfigPlaces {
  readonly sections: readonly Section[]
  readonly migrations?: readonly Migration[]
}

export interface ConfigDraft {
  readonly target: ConfigTarget
  /** Where it will be written. */
  readonly file: string
  /** What is there now, at the current version; the commented defaults where there is no file. */
  readonly text: string
  /** The text on disk that it came from, and its version; undefined where there is no file yet. */
  readonly original: { readonly text: string; readonly version: number } | undefined
}

/** The file to change and its text: the one that counts, or the commented defaults to be written into the home. */
export async function openConfig(target: ConfigTarget): Promise<ConfigDraft> {
  const found = await findConfigFile(target)
  if (found === undefined) {
    const file = join(target.home, CONFIG_FILE_NAME)
    return { target, file, text: writeCommentedConfig(target.sections), original: undefined }
  }
  const original = await readConfigText(found)
  const { text, from } = await migrateConfigText(original, found, target.migrations)
  return { target, file: found, text, original: { text: original, version: from } }
}

/**
 * Changes the config by a function of its text. A file that is faulty before is refused as it is, with its faults. Gives
 * what was there and whether it changed; nothing is written where it did not. Fails as `writeConfig` does.
 */
export async function changeConfig(
  target: ConfigTarget,
  change: (text: string) => string,
): Promise<{ draft: ConfigDraft; changed: boolean }> {
  const draft = await openConfig(target)
  await parseConfigText(draft.text, { file: draft.file, sections: target.sections })
  const text = change(draft.text)
  const changed = text !== draft.text
  if (changed) await writeConfig(draft, text)
  return { draft, changed }
}

/**
 * Writes a changed config, checked whole before: the file then holds the new text or, after any failure, the old one.
 * Where the old one was of an older version, a copy stays beside it as `NAME.vN`. A link stays a link. Fails with
 * `config_invalid`, and with `config_changed` where the file is no longer what the draft was made from.
 */
export async function writeConfig({ target, file, original }: ConfigDraft, text: string): Promise<void> {
  await parseConfigText(text, { file, sections: target.sections })
  const info = await stat(file).catch(() => undefined)
  const now = info === undefined ? undefined : await readConfigText(file)
  if (now !== original?.text) {
    throw configErrors.config_changed(`${file} was changed meanwhile; nothing was written`, {
      hint: 'Look at it, then try again: warren config show',
    })
  }
  if (info === undefined) return await writeFileAtomic(file, text)
  const mode = info.mode & 0o777
  if (original !== undefined && original.version !== CONFIG_VERSION) {
    await writeFileAtomic(`${file}.v${original.version}`, original.text, { mode })
  }
  await writeFileAtomic(await realpath(file), text, { mode })
}
