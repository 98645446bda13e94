/** Writes docs/cli/FOLDER.md from the commands and docs/openapi.json from the contracts: `node scripts/write-cli-docs.ts`. A house test compares. */
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AnyCall, openApiOf } from '../src/api/index.ts'
import { version } from '../src/base/version.ts'
import { commandsByFolder } from '../src/cli/entries.ts'
import { commandHelp } from '../src/command/parse.ts'

const ROOT = join(import.meta.dirname, '..')

/** Every generated page by its path from the root. */
export async function generatedPages(): Promise<Map<string, string>> {
  const pages = new Map<string, string>()
  const index: string[] = []
  for (const [folder, entries] of Object.entries(commandsByFolder)) {
    const shown = entries.filter(({ hidden }) => hidden !== true)
    if (shown.length === 0) continue
    const commands = await Promise.all(shown.map((entry) => entry.load()))
    const sections = commands.map(
      (command) => `## warren ${command.name}\n\n\`\`\`text\n${commandHelp(command)}\n\`\`\`\n`,
    )
    pages.set(`docs/cli/${folder}.md`, `# ${folder}\n\n${NOTE}\n\n${sections.join('\n')}`)
    index.push(
      `## [${folder}](${folder}.md)\n\n${shown.map(({ name, summary }) => `- \`warren ${name}\`: ${summary}`).join('\n')}\n`,
    )
  }
  pages.set('docs/cli/index.md', `# Commands\n\n${NOTE}\n\n${index.join('\n')}`)
  const openApi = openApiOf(await allCalls(), { title: 'Warren', version })
  pages.set('docs/openapi.json', `${JSON.stringify(openApi, null, 2)}\n`)
  return pages
}

/** The calls of every contract under src/. */
export async function allCalls(): Promise<AnyCall[]> {
  const calls: AnyCall[] = []
  for (const folder of readdirSync(join(ROOT, 'src')).sort()) {
    const path = join(ROOT, 'src', folder, 'contract.ts')
    if (folder === 'api' || !existsSync(path)) continue
    const module = (await import(path)) as Record<string, unknown>
    for (const [name, contract] of Object.entries(module)) {
      if (name.endsWith('Contract')) calls.push(...(Object.values(contract as object) as AnyCall[]))
    }
  }
  return calls
}

const NOTE = 'Written from the program by `node scripts/write-cli-docs.ts`; the same text as `--help`.'

if (import.meta.main) {
  await rm(join(ROOT, 'docs/cli'), { recursive: true, force: true })
  await mkdir(join(ROOT, 'docs/cli'), { recursive: true })
  for (const [path, content] of await generatedPages()) await writeFile(join(ROOT, path), content)
}
