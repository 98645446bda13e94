import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generatedPages } from '../../scripts/write-cli-docs.ts'
import { commandEntries } from '../../src/cli/entries.ts'
import { parseCommand, splitGlobals } from '../../src/command/parse.ts'
import { ROOT } from './source.ts'

const pages = await generatedPages()

test('docs/cli and docs/openapi.json are as the program is (node scripts/write-cli-docs.ts)', () => {
  for (const [path, content] of pages) {
    expect(existsSync(join(ROOT, path)), path).toBe(true)
    expect(readFileSync(join(ROOT, path), 'utf8'), path).toBe(content)
  }
  const written = readdirSync(join(ROOT, 'docs/cli')).map((name) => `docs/cli/${name}`)
  expect(written.filter((path) => !pages.has(path))).toEqual([])
})

test('every example of every command parses, and names the command it belongs to', async () => {
  for (const entry of commandEntries) {
    const command = await entry.load()
    expect(command.name).toBe(entry.name)
    expect(command.summary, entry.name).toBe(entry.summary)
    expect(command.aliases ?? [], entry.name).toEqual(entry.aliases ?? [])
    expect(command.examples.length, `${entry.name} has examples`).toBeGreaterThan(entry.hidden === true ? -1 : 0)
    for (const { words } of command.examples) {
      const { rest } = splitGlobals(shellWords(words))
      const name = [entry.name, ...(entry.aliases ?? [])].find((each) => rest.join(' ').startsWith(each))
      expect(name, words).toBeDefined()
      expect(() => parseCommand(command, rest.slice((name as string).split(' ').length)), words).not.toThrow()
    }
  }
})

/** The words up to a pipe or a redirection, quotes taken off. */
function shellWords(line: string): string[] {
  const words = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []
  const end = words.findIndex((word) => /^(\||>|<|&&|;)/.test(word))
  return words.slice(0, end === -1 ? undefined : end).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'))
}
