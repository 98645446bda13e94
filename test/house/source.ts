/** What the house tests read: the source files, parsed once. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type ParseResult, parseSync, type StaticExportEntry, Visitor } from 'oxc-parser'

export const ROOT = join(import.meta.dirname, '../..')

/** Path → text. */
export type Files = ReadonlyMap<string, string>

/** Every file under a folder of the project, by its path in that folder. */
export function readFiles(folder: string, accept: (path: string) => boolean): Files {
  const files = new Map<string, string>()
  const base = join(ROOT, folder)
  for (const entry of readdirSync(base, { recursive: true, withFileTypes: true })) {
    const path = relative(base, join(entry.parentPath, entry.name))
    if (entry.isFile() && accept(path)) files.set(path, readFileSync(join(base, path), 'utf8'))
  }
  return files
}

/** TypeScript of src/, tests included. */
export const sourceFiles: Files = readFiles('src', (path) => path.endsWith('.ts'))

export const isTest = (path: string): boolean => path.endsWith('.test.ts') || /(^|\/)(testing|fixtures)\//.test(path)

export interface Import {
  specifier: string
  /** By `await import()`. */
  lazy: boolean
  /** Gone when the types are stripped. */
  typeOnly: boolean
}

const parsed = new Map<string, ParseResult>()

export function parse(path: string, text: string): ParseResult {
  const key = `${path}\0${text}`
  let result = parsed.get(key)
  if (result === undefined) {
    result = parseSync(path, text)
    parsed.set(key, result)
  }
  return result
}

/** Every import and re-export of a file, static, lazy and in types. */
export function importsOf(path: string, text: string): Import[] {
  const { module, program } = parse(path, text)
  const imports: Import[] = []
  for (const { moduleRequest, entries } of module.staticImports) {
    const typeOnly = entries.length > 0 && entries.every((entry) => entry.isType)
    imports.push({ specifier: moduleRequest.value, lazy: false, typeOnly })
  }
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType } of entries) {
      if (moduleRequest) imports.push({ specifier: moduleRequest.value, lazy: false, typeOnly: isType })
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const specifier = text.slice(moduleRequest.start + 1, moduleRequest.end - 1)
    imports.push({ specifier, lazy: true, typeOnly: false })
  }
  new Visitor({
    TSImportType: ({ source }) => void imports.push({ specifier: source.value, lazy: false, typeOnly: true }),
  }).visit(program)
  return imports
}

export interface NamedExport {
  entry: StaticExportEntry
  /** Where its statement begins. */
  start: number
}

export function exportsOf(path: string, text: string): NamedExport[] {
  return parse(path, text).module.staticExports.flatMap(({ start, entries }) =>
    entries.map((entry) => ({ entry, start })),
  )
}

/** The package of a bare specifier: `@libp2p/tcp` of `@libp2p/tcp/filters`; undefined for paths and Node's own modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
