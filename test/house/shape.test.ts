import { expect, test } from 'vitest'
import { docComplaints, nameComplaints, sizeComplaints, storyComplaints } from './shape.ts'
import { readFiles, sourceFiles } from './source.ts'

const isCode = (path: string): boolean => path.endsWith('.ts')

test('files and folders are named in kebab-case, for what is in them', () => {
  for (const folder of ['src', 'test', 'scripts', 'docs']) {
    expect(nameComplaints(readFiles(folder, () => true).keys())).toEqual([])
  }
  expect(nameComplaints(['app/fooBar.ts', 'app/utils.ts', 'common/x.ts', 'app/http-probe.test.ts'])).toHaveLength(3)
})

test('no file or function outgrows its reader', () => {
  for (const folder of ['src', 'test', 'scripts']) expect(sizeComplaints(readFiles(folder, isCode))).toEqual([])
  const long = `function f(): void {\n${'  f()\n'.repeat(80)}}\n`
  const wide = 'export function g(a: 1, b: 2, c: 3, d: 4): void {}\n'
  expect(sizeComplaints(new Map([['a/x.ts', long + wide]]))).toEqual([
    'a/x.ts:1: a function of 82 lines',
    'a/x.ts:83: 4 parameters; use an options object',
  ])
  expect(sizeComplaints(new Map([['a/x.ts', '\n'.repeat(401)]]))).toEqual(['a/x.ts: 401 lines, more than 400'])
})

test('every folder opens with its story', () => {
  expect(storyComplaints(sourceFiles)).toEqual([])
  const story = `/**\n * app: ${'what it does. '.repeat(10)}\n */\n`
  const files = [
    ['app/index.ts', story],
    ['net/index.ts', `export {}\n${story}`],
    ['lab/up.ts', ''],
  ] as const
  expect(storyComplaints(new Map(files))).toEqual([
    'net: index.ts does not open with /** and "net: …"',
    'lab: has no index.ts',
  ])
})

test('every name that a door gives has a doc comment', () => {
  expect(docComplaints(sourceFiles)).toEqual([])
  const files = [
    ['app/index.ts', `export * from './a.ts'\nexport { c, type D } from './b.ts'\n/** Said. */\nexport const e = 1\n`],
    ['app/a.ts', `export const a = 1\n/** Said. */\nexport function b(): void {}\n`],
    ['app/b.ts', `const c = 1\n/** Said. */\ntype D = 1\nexport { c, type D }\nexport const hidden = 1\n`],
  ] as const
  expect(docComplaints(new Map(files))).toEqual(['app/a.ts: a has no doc comment', 'app/b.ts: c has no doc comment'])
})
