import { resolve } from 'node:path'
import { baseErrors } from '../../base/errors.ts'
import { readFileBounded } from '../../base/files.ts'
import { type CommandContext, text } from '../../command/index.ts'
import { rootSignerOf, type Signer } from '../../identity/index.ts'

/** 13 groups, and room for a line or two; more is another file. */
const MAX_PHRASE_BYTES = 1024

/** Where the phrase comes from: never an argument or a variable, which others on the machine or in a log could read. */
export const phraseOptions = {
  phraseFile: text({ value: 'FILE', description: 'read the recovery phrase from this file, not from the terminal' }),
}

/** The root key of the phrase that a person types or pipes in. Fails with `recovery_phrase_invalid`, `file_not_found`. */
export async function readRootSigner(context: CommandContext, phraseFile: string | undefined): Promise<Signer> {
  if (phraseFile === undefined) return rootSignerOf(await context.readSecret('Recovery phrase'))
  const path = resolve(context.cwd, phraseFile)
  const bytes = await readFileBounded(path, MAX_PHRASE_BYTES)
  if (bytes === undefined) throw baseErrors.file_not_found(`there is no file ${path}`)
  return rootSignerOf(bytes.toString('utf8'))
}
