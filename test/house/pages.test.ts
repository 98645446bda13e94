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

test('every command has an example, and every example parses', async () => {
  for (const entry of commandEntries) {
    const command = await entry.load()
    expect(command.name).toBe(entry.name)
    expect(command.summary, entry.name).toBe(entry.summary)
    expect(command.aliases ?? [], entry.name).toEqual(entry.aliases ?? [])
    expect(command.examples.length, `${entry.name} has examples`).toBeGreaterThan(entry.hidden === true ? -1 : 0)
    for (const { words } of command.examples) {
      const { rest } = splitGlobals(shellWords(words))
      const { entry: named, length } = findEntry(rest)
      const definition = await named.load()
      expect(() => parseCommand(definition, rest.slice(length)), words).not.toThrow()
    }
    const own = command.examples.filter(({ words }) => findEntry(splitGlobals(shellWords(words)).rest).entry === entry)
    expect(own.length > 0 || entry.hidden === true, `an example of ${entry.name} itself`).toBe(true)
  }
})

/** The command that the words name, by as many of them as one takes. */
function findEntry(words: readonly string[]) {
  for (let length = 3; length > 0; length--) {
    const name = words.slice(0, length).join(' ')
    const entry = commandEntries.find((each) => each.name === name || each.aliases?.includes(name))
    if (entry !== undefined) return { entry, length }
  }
  throw new Error(`no command in: ${words.join(' ')}`)
}

/** The words up to a pipe or a redirection, quotes taken off. */
function shellWords(line: string): string[] {
  const words = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []
  const end = words.findIndex((word) => /^(\||>|<|&&|;)/.test(word))
  return words.slice(0, end === -1 ? undefined : end).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'))
}
