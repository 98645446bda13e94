import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { expect, test } from 'vitest'
import { readFiles } from './source.ts'

const OTHERS = /^(node_modules|dist|coverage|\.git|\.warren-build)\/|^package-lock\.json$|^LICENSE$/
const files = readFiles('', (path) => !OTHERS.test(path))
const pages = new Map([...files].filter(([path]) => path.endsWith('.md')))

test('no file names a place of one machine, or a registry', () => {
  // Written in parts, so that this file is not found.
  const places = ['/work' + '/', '/root' + '/', '/tmp/' + 'brief', 'registry.' + 'npmjs', '/home/' + 'runner']
  const found = [...files].flatMap(([path, text]) =>
    places.filter((place) => text.includes(place)).map((place) => `${path}: ${place}`),
  )
  expect(found).toEqual([])
})

test('links between pages lead somewhere', () => {
  const broken = [...pages].flatMap(([path, text]) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)/g)]
      .map((match) => posix.join(posix.dirname(path), match[1] as string))
      .filter((target) => !existsSync(target))
      .map((target) => `${path}: ${target}`),
  )
  expect(broken).toEqual([])
})

test('decisions are numbered one after another, each with context, decision and consequences', () => {
  const decisions = [...pages.keys()].filter((path) => /^docs\/decisions\/\d/.test(path)).sort()
  expect(decisions.map((path) => Number(posix.basename(path).slice(0, 4)))).toEqual(decisions.map((_, n) => n + 1))
  for (const path of decisions) {
    const headings = [...(pages.get(path) as string).matchAll(/^## (.+)$/gm)].map((match) => match[1])
    expect(headings, path).toEqual(expect.arrayContaining(['Context', 'Decision', 'Consequences']))
  }
})

test('every script of package.json and ./warren can be run', () => {
  expect(files.get('warren')).toMatch(/^#!\/bin\/sh\n/)
  expect(files.get('.ci/run')).toMatch(/^#!/)
})
