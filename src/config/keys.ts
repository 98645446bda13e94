import { isAbsolute, join, resolve } from 'node:path'
import { z } from 'zod'
import { type FieldFormat, fieldFormats } from './fields.ts'
import type { Section } from './section.ts'

/** One key of the config, as read from its section's schema. */
export interface ConfigKey {
  /** `net.listen`. */
  readonly name: string
  readonly path: readonly [section: string, ...rest: string[]]
  /** `WARREN_NET_LISTEN`. */
  readonly variable: string
  /** The default as it would be written in the file; undefined where there is none. */
  readonly fallback: unknown
  readonly description: string
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'other'
  readonly format: FieldFormat | undefined
  /** Of a list: what its elements are. */
  readonly element: Pick<ConfigKey, 'kind' | 'format'> | undefined
  readonly choices: readonly string[]
  /** Of a number: what it must be, such as `a whole number from 1 to 9`. */
  readonly range: string
  readonly nullable: boolean
  readonly schema: z.ZodType
}

/** Every key of these sections, in the order of their schemas. */
export function listKeys(sections: readonly Section[]): ConfigKey[] {
  return sections.flatMap((section) => keysBelow([section.name], section.schema))
}

/** What is wrong with the sections themselves; empty where all is well. For a test over the program's list. */
export function findSectionFaults(sections: readonly Section[]): string[] {
  const faults: string[] = []
  const names = new Set<string>(['version'])
  for (const { name } of sections) {
    if (names.has(name)) faults.push(`${name}: two sections of this name`)
    names.add(name)
  }
  const variables = new Set<string>()
  for (const key of listKeys(sections)) {
    if (variables.has(key.variable)) faults.push(`${key.name}: another key has the variable ${key.variable} too`)
    variables.add(key.variable)
    if (key.description === '') faults.push(`${key.name}: no description`)
    if (key.fallback === undefined) faults.push(`${key.name}: no default`)
    else if (!key.schema.safeParse(key.fallback).success) faults.push(`${key.name}: its default is not a valid value`)
    if (!key.path.every((part) => /^[a-z][a-z0-9_]*$/.test(part))) faults.push(`${key.name}: not snake_case`)
  }
  return faults
}

/** The value that a text stands for, as the file would hold it: lists by commas or as JSON, the rest by the key's kind. */
export function readKeyText(key: Pick<ConfigKey, 'kind' | 'element' | 'nullable'>, text: string): unknown {
  if (key.nullable && text === 'null') return null
  switch (key.kind) {
    case 'text':
      return text
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'list':
      return readListText(key, text)
    case 'other':
      return readJson(text) ?? text
  }
}

/** The value with its relative paths made absolute; values that are no paths as they are. */
export function resolvePaths(
  key: Pick<ConfigKey, 'format' | 'element'>,
  value: unknown,
  { base, userHome }: { base: string; userHome: string | undefined },
): unknown {
  const one = (path: unknown): unknown => {
    if (typeof path !== 'string' || path === '' || isAbsolute(path)) return path
    if (userHome !== undefined && (path === '~' || path.startsWith('~/'))) return join(userHome, path.slice(1))
    return resolve(base, path)
  }
  if (key.format === 'path') return one(value)
  return key.element?.format === 'path' && Array.isArray(value) ? value.map(one) : value
}

/** What a value may be, in a few words: `one of: debug, info`, `a duration`, `a whole number from 1 to 9`. */
export function describeKind(key: ConfigKey): string {
  if (key.choices.length > 0) return `one of: ${key.choices.join(', ')}`
  if (key.format !== undefined) return `a ${key.format}`
  if (key.kind === 'boolean') return 'true or false'
  if (key.kind === 'list') return `a list${key.element?.format === undefined ? '' : ` of ${key.element.format}s`}`
  return key.kind === 'number' ? key.range : key.kind === 'text' ? 'a text' : 'a map'
}

/** The layers of a schema that matter here, through defaults, optionals and pipes. */
interface Layers {
  readonly core: z.ZodType
  readonly definition: Record<string, unknown>
  readonly description: string
  readonly fallback: unknown
  readonly format: FieldFormat | undefined
  readonly nullable: boolean
}

function layersOf(schema: z.ZodType): Layers {
  let current = schema
  let description = ''
  let fallback: unknown
  let format: FieldFormat | undefined
  let nullable = false
  for (;;) {
    const definition = current._zod.def as unknown as Record<string, unknown>
    description ||= current.description ?? ''
    format ??= fieldFormats.get(current)?.format
    fallback ??= definition.defaultValue
    nullable ||= definition.type === 'nullable'
    const next = definition.innerType ?? (definition.type === 'pipe' ? inputOf(definition) : undefined)
    if (next === undefined) return { core: current, definition, description, fallback, format, nullable }
    current = next as z.ZodType
  }
}

function rangeOf({ minValue, maxValue, isInt }: z.ZodNumber): string {
  const from = minValue === null || minValue <= Number.MIN_SAFE_INTEGER ? '' : ` from ${minValue}`
  const to = maxValue === null || maxValue >= Number.MAX_SAFE_INTEGER ? '' : ` to ${maxValue}`
  return `a ${isInt ? 'whole ' : ''}number${from}${to}`
}

/** Of a pipe the side that describes the written value: of a preprocessor that is what follows it. */
function inputOf(definition: Record<string, unknown>): unknown {
  const first = definition.in as z.ZodType
  return first._zod.def.type === 'transform' ? definition.out : first
}

function keysBelow(path: readonly [string, ...string[]], schema: z.ZodType): ConfigKey[] {
  const { core, definition, description, fallback, format, nullable } = layersOf(schema)
  if (core instanceof z.ZodObject) {
    return Object.entries(core.shape).flatMap(([name, inner]) => keysBelow([...path, name], inner as z.ZodType))
  }
  const element = definition.type === 'array' ? layersOf(definition.element as z.ZodType) : undefined
  return [
    {
      name: path.join('.'),
      path,
      variable: `WARREN_${path.join('_').toUpperCase()}`,
      fallback: fallback === undefined && nullable ? null : fallback,
      description,
      kind: kindOf(core, definition),
      format,
      element: element && { kind: kindOf(element.core, element.definition), format: element.format },
      choices: core instanceof z.ZodEnum ? core.options.map(String) : [],
      range: core instanceof z.ZodNumber ? rangeOf(core) : '',
      nullable,
      schema,
    },
  ]
}

function kindOf(core: z.ZodType, definition: Record<string, unknown>): ConfigKey['kind'] {
  switch (definition.type) {
    case 'number':
    case 'int':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'array':
      return 'list'
    case 'string':
    case 'enum':
    case 'literal':
    case 'template_literal':
      return 'text'
    case 'union': {
      const kinds = (core as z.ZodUnion<readonly z.ZodType[]>).options.map((option) => {
        const layers = layersOf(option)
        return kindOf(layers.core, layers.definition)
      })
      return kinds.every((kind) => kind === 'text') ? 'text' : 'other'
    }
    default:
      return 'other'
  }
}

function readListText(key: Pick<ConfigKey, 'element'>, text: string): unknown {
  if (text.trimStart().startsWith('[')) return readJson(text) ?? text
  const parts = text.trim() === '' ? [] : text.split(',').map((part) => part.trim())
  const kind = key.element?.kind ?? 'text'
  return parts.map((part) => readKeyText({ kind, element: undefined, nullable: false }, part))
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
