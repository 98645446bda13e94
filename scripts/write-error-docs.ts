/** Writes docs/errors.md from every `errors.ts` under src/: `node scripts/write-error-docs.ts`. A house test compares. */
import { readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ErrorDefinition, exitCodeOf } from '../src/base/errors.ts'

const ROOT = dirname(import.meta.dirname)
const PAGE = join(ROOT, 'docs/errors.md')

export interface FolderErrors {
  folder: string
  definitions: Record<string, ErrorDefinition>
}

/** Loads every catalogue. More than one in a file is allowed. */
export async function loadCatalogues(): Promise<FolderErrors[]> {
  const paths = readdirSync(join(ROOT, 'src'), { recursive: true })
    .map(String)
    .filter((path) => /(^|\/)errors\.ts$/.test(path))
    .sort()
  const catalogues: FolderErrors[] = []
  for (const path of paths) {
    const module = (await import(join(ROOT, 'src', path))) as Record<string, unknown>
    for (const exported of Object.values(module)) {
      const { definitions } = Object(exported) as { definitions?: FolderErrors['definitions'] }
      if (definitions !== undefined) catalogues.push({ folder: path.split('/')[0] as string, definitions })
    }
  }
  return catalogues
}

/** The page: a table a folder. */
export function errorPage(catalogues: readonly FolderErrors[]): string {
  const tables = catalogues.map(({ folder, definitions }) => {
    const rows = Object.entries(definitions)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([code, { status, summary }]) => `| \`${code}\` | ${status} | ${exitCodeOf(status)} | ${summary} |`)
    return `## ${folder}\n\n| code | HTTP | exit | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`
  })
  return `${INTRODUCTION}\n${tables.join('\n')}`
}

const INTRODUCTION = `# Errors

Every failure has a code that does not change between releases, a message that names the offending value, and a hint with
the next step. With \`--json\` it is printed as \`{"error":{"code","message","hint"}}\`; over the API it comes with the HTTP
status below, and a command ends with the exit code below.

Before the program is built, \`./warren\` itself may fail: \`setup_failed\` (exit 6: no npm, no network, or npm failed; the
message says which) and \`not_supported\` (exit 7: there is no Node 24 for this machine).

This page is written by \`node scripts/write-error-docs.ts\`.
`

if (import.meta.main) {
  await mkdir(dirname(PAGE), { recursive: true })
  await writeFile(PAGE, errorPage(await loadCatalogues()))
}
