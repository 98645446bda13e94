import type { Document } from 'yaml'
import { configErrors } from './errors.ts'

/** The version that this release reads and writes. */
export const CONFIG_VERSION = 1

/** One step from a version of the file to the next. */
export interface Migration {
  /** The version it starts from; it leads to the next one. */
  readonly from: number
  /** What changes, in a few words, for the warning. */
  readonly summary: string
  /** Changes the document in place, so that comments stay. */
  migrate(document: Document): void
}

/** The steps from every older version. Version 1 is the first. */
export const MIGRATIONS: readonly Migration[] = []

export interface MigratedText {
  readonly text: string
  /** The version that the text had. */
  readonly from: number
  /** What was changed, oldest step first; empty where nothing was. */
  readonly steps: readonly string[]
}

/**
 * The text at the current version. A text that has no version, or is not YAML, is given back as it is: the check that
 * follows names the fault. Fails with `config_version_unknown` for a newer version and one that no step starts from.
 */
export async function migrateConfigText(
  text: string,
  file: string,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<MigratedText> {
  const found = /^version:[ \t]*(\d+)[ \t]*(?:#.*)?\r?$/m.exec(text)
  const from = found === null ? CONFIG_VERSION : Number(found[1])
  if (from === CONFIG_VERSION) return { text, from, steps: [] }
  if (from > CONFIG_VERSION) {
    throw configErrors.config_version_unknown(
      `${file} has version ${from}; this release reads versions up to ${CONFIG_VERSION}`,
      { hint: 'Use the release of Warren that wrote it, or a newer one.' },
    )
  }
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text)
  if (document.errors.length > 0) return { text, from, steps: [] }
  const steps: string[] = []
  for (let version = from; version < CONFIG_VERSION; version++) {
    const step = migrations.find((migration) => migration.from === version)
    if (step === undefined) {
      throw configErrors.config_version_unknown(`${file} has version ${from}, which no release of Warren wrote`, {
        hint: `Write "version: ${CONFIG_VERSION}", then: warren config validate`,
      })
    }
    step.migrate(document)
    document.set('version', version + 1)
    steps.push(step.summary)
  }
  return { text: document.toString({ lineWidth: 0 }), from, steps }
}
