import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parseIgnore } from './ignore.ts'

test.each<[string, string, boolean, boolean]>([
  ['*.log', 'a.log', false, true],
  ['*.log', 'deep/a.log', false, true],
  ['*.log', 'a.logs', false, false],
  ['/build', 'build', true, true],
  ['/build', 'src/build', true, false],
  ['build/', 'build', false, false],
  ['build/', 'src/build', true, true],
  ['src/*.c', 'src/a.c', false, true],
  ['src/*.c', 'src/sub/a.c', false, false],
  ['src/*.c', 'other/src/a.c', false, false],
  ['src/**/*.c', 'src/x/y/a.c', false, true],
  ['src/**/*.c', 'src/a.c', false, true],
  ['src/**', 'src/a/b', false, true],
  ['**/cache', 'a/b/cache', true, true],
  ['file?.txt', 'file1.txt', false, true],
  ['file?.txt', 'file/.txt', false, false],
  ['[a-c].txt', 'b.txt', false, true],
  ['[!a-c].txt', 'b.txt', false, false],
  ['# note', '# note', false, false],
  ['\\#note', '#note', false, true],
  ['a.b', 'axb', false, false],
  ['(x|y)+$', 'x', false, false],
  ['*', 'anything', false, true],
])('%s and %s', (glob, path, isFolder, ignored) => {
  expect(parseIgnore(glob).ignores(path, isFolder)).toBe(ignored)
})

test('the last rule that fits decides, and ! takes back', () => {
  const rules = parseIgnore('*.log\n!keep.log\nkeep.log.old\r\n\n')
  expect(rules.ignores('a.log', false)).toBe(true)
  expect(rules.ignores('keep.log', false)).toBe(false)
})

test('git itself ignores the same files', () => {
  const root = mkdtempSync(join(tmpdir(), 'ignore-'))
  try {
    const text = ['*.o', '/dist', 'tmp/', 'docs/*.md', '!docs/index.md', 'a/**/z', '[0-9]*', 'x?y', '**/deep'].join(
      '\n',
    )
    const paths = [
      'm.o',
      's/m.o',
      'dist/a',
      's/dist/a',
      'tmp/a',
      's/tmp/a',
      'docs/a.md',
      'docs/index.md',
      'docs/s/a.md',
      'a/z',
      'a/b/c/z',
      '1a',
      's/9',
      'xay',
      'x/y',
      'q/deep',
      'plain',
    ]
    execFileSync('git', ['init', '-q', root])
    writeFileSync(join(root, '.gitignore'), text)
    const rules = parseIgnore(text)
    for (const path of paths) {
      mkdirSync(join(root, dirname(path)), { recursive: true })
      writeFileSync(join(root, path), '')
    }
    const listed = execFileSync('git', ['-C', root, 'ls-files', '-o', '--exclude-standard']).toString().split('\n')
    const ignored = (path: string): boolean =>
      path.split('/').some((_name, at, names) => rules.ignores(names.slice(0, at + 1).join('/'), at < names.length - 1))
    for (const path of paths) expect([path, ignored(path)]).toEqual([path, !listed.includes(path)])
  } finally {
    rmSync(root, { recursive: true })
  }
})
