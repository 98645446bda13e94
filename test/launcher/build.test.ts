import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { programPath } from '../program.ts'

async function builtFiles(): Promise<string[]> {
  const folder = dirname(await programPath())
  const names = ['main.js', 'program.js', ...(await readdir(join(folder, 'chunks'))).map((name) => `chunks/${name}`)]
  return await Promise.all(
    names.filter((name) => name.endsWith('.js')).map((name) => readFile(join(folder, name), 'utf8')),
  )
}

test("a build takes Node's modules as objects, because an import would load all that hangs on them", async () => {
  const files = await builtFiles()
  expect(files.length).toBeGreaterThan(20)
  expect(files.flatMap((text) => text.match(/^(?:import|\} from) .*"node:.*$/gm) ?? [])).toEqual([])
})

test('a build holds one language of zod', async () => {
  const locales = (await builtFiles()).flatMap(
    (text) => text.match(/^\/\/ node_modules\/zod\/v4\/locales\/.*$/gm) ?? [],
  )
  expect(locales).toEqual(['// node_modules/zod/v4/locales/en.js'])
})
