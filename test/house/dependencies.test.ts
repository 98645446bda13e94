import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import reasons from './dependencies.json' with { type: 'json' }
import { importsOf, isTest, packageOf, ROOT, readFiles, sourceFiles } from './source.ts'

interface Manifest {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  optionalDependencies: Record<string, string>
}
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
const { dependencies, devDependencies, optionalDependencies } = manifest

test('every run-time dependency is on the list, with its reason, and nothing else is', () => {
  expect(Object.keys({ ...dependencies, ...optionalDependencies }).sort()).toEqual(Object.keys(reasons))
  expect(Object.values(reasons).filter((reason) => reason.length < 10)).toEqual([])
})

test('every dependency has one exact version', () => {
  const loose = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
  expect(loose.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
})

test('sources import only run-time dependencies, and each of those is imported', () => {
  const imported = new Set<string>()
  const missing: string[] = []
  for (const [path, text] of sourceFiles) {
    if (isTest(path)) continue
    for (const { specifier, typeOnly } of importsOf(path, text)) {
      const name = packageOf(specifier)
      if (name === undefined) continue
      imported.add(name)
      // An optional package may be missing when the program runs, but its types may be named.
      const isThere = name in dependencies || (typeOnly && name in optionalDependencies)
      if (!isThere && !builtinModules.includes(name)) missing.push(`${path}: ${name}`)
    }
  }
  expect(missing).toEqual([])
  for (const [path, text] of readFiles('scripts', (name) => name.endsWith('.ts'))) {
    for (const { specifier } of importsOf(path, text)) imported.add(packageOf(specifier) ?? '')
  }
  expect(Object.keys(dependencies).filter((name) => !imported.has(name))).toEqual([])
})

test('the lock file has every platform of every optional package, and names no host', () => {
  const text = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
  expect(text).not.toContain('"resolved"')
  const { packages } = JSON.parse(text) as { packages: Record<string, { optionalDependencies?: object }> }
  const holes = Object.entries(packages).flatMap(([path, { optionalDependencies: optional = {} }]) =>
    Object.keys(optional).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    ),
  )
  expect(holes).toEqual([])
})
