import { glob, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseConfigText } from './file.ts'
import { findSectionFaults, loadConfig, type Section, writeCommentedConfig } from './index.ts'
import { writeConfigReference } from './reference.ts'

const SRC = new URL('../', import.meta.url)
const PAGE = new URL('../../docs/config.md', import.meta.url)

/** The sections that the features export from their `config.ts`. */
async function findSections(): Promise<Section[]> {
  const sections: Section[] = []
  for await (const file of glob('*/config.ts', { cwd: fileURLToPath(SRC) })) {
    const module = (await import(new URL(file, SRC).href)) as Record<string, unknown>
    sections.push(...Object.values(module).filter(isSection))
  }
  return sections.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && 'schema' in value && 'name' in value && 'description' in value
}

test('every section of the program is named by its noun, and every key has a description and a valid default', async () => {
  const sections = await findSections()
  expect(sections.map(({ name }) => name)).toEqual(expect.arrayContaining(['logging', 'storage']))
  expect(findSectionFaults(sections)).toEqual([])
})

test('the commented file of the whole program is valid, and nothing at all means the defaults', async () => {
  const sections = await findSections()
  await expect(
    parseConfigText(writeCommentedConfig(sections), { file: 'config.yaml', sections }),
  ).resolves.toBeDefined()
  const { values, origins } = await loadConfig({ sections, home: '/nowhere', env: {} })
  expect(Object.keys(values)).toEqual(sections.map(({ name }) => name))
  expect(new Set(Object.values(origins))).toEqual(new Set(['default']))
})

test('docs/config.md shows every key as it is (else: vitest run src/config/docs.test.ts -u)', async () => {
  const page = await readFile(PAGE, 'utf8')
  const [before, after] = [page.indexOf('<!-- keys -->'), page.indexOf('<!-- /keys -->')]
  expect(before).toBeGreaterThan(0)
  expect(after).toBeGreaterThan(before)
  const reference = writeConfigReference(await findSections())
  const current = `${page.slice(0, before)}<!-- keys -->\n\n${reference}\n${page.slice(after)}`
  await expect(current).toMatchFileSnapshot(fileURLToPath(PAGE))
})
