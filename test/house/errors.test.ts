import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { errorPage, loadCatalogues } from '../../scripts/write-error-docs.ts'
import { isTest, ROOT, sourceFiles } from './source.ts'

const catalogues = await loadCatalogues()
const codes = catalogues.flatMap(({ folder, definitions }) =>
  Object.keys(definitions).map((code) => ({ folder, code })),
)

test('every error code is defined once, in snake_case, with a sentence that explains it', () => {
  const seen = new Map<string, string>()
  for (const { folder, code } of codes) {
    expect(seen.get(code), `${code} is defined by ${folder} as well`).toBeUndefined()
    expect(code).toMatch(/^[a-z]+(_[a-z0-9]+)*$/)
    seen.set(code, folder)
  }
  const vague = catalogues.flatMap(({ definitions }) =>
    Object.entries(definitions).filter(([, { summary }]) => !/^[A-Z].{15,}\.$/.test(summary)),
  )
  expect(vague).toEqual([])
})

test('every error code is thrown somewhere', () => {
  const text = [...sourceFiles]
    .filter(([path]) => !isTest(path))
    .map(([, content]) => content)
    .join('\n')
  expect(codes.filter(({ code }) => !new RegExp(`\\.${code}\\b|'${code}'`).test(text))).toEqual([])
})

test('docs/errors.md lists exactly these codes (node scripts/write-error-docs.ts)', () => {
  expect(readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')).toBe(errorPage(catalogues))
})
