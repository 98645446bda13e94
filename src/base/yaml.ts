import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import type { z } from 'zod'

/** One thing wrong with a file, and where. */
export interface YamlFault {
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** Dotted path of the value, such as `ports.web`; empty for the whole file. */
  readonly path: string
  readonly message: string
}

export interface YamlInput<S extends z.ZodType> {
  readonly text: string
  /** Name shown in faults; nothing is read from it. */
  readonly file: string
  readonly schema: S
  /** Longest text that is parsed. Default 1 MiB: manifests and configs are a few kilobytes. */
  readonly maxBytes?: number
}

export interface YamlResult<S extends z.ZodType> {
  /** Present only where there is no fault. */
  readonly value: z.output<S> | undefined
  /** In the order of the file. */
  readonly faults: readonly YamlFault[]
}

const MAX_BYTES = 1024 * 1024
/** Aliases multiply what a few bytes mean; a hundred is more than a person writes. */
const MAX_ALIASES = 100
/** Deeper nesting than any schema here, and far from the depth where a recursive reader fails. */
const MAX_DEPTH = 64
/** A file with more faults than this is not the file that was meant. */
const MAX_FAULTS = 50
/** Messages repeat what stands in the file; that may be long. */
const MAX_TEXT_LENGTH = 300

/**
 * Reads YAML 1.2 into a typed value, or says every fault with line and column: syntax, duplicate keys, unknown keys
 * (with the nearest known one), missing keys and wrong values. Never throws for what the text holds. One document only;
 * tags, aliases past a bound and merge keys do not change what a key means. The empty file is an empty map.
 */
export function parseYaml<S extends z.ZodType>({ text, schema, maxBytes = MAX_BYTES }: YamlInput<S>): YamlResult<S> {
  if (Buffer.byteLength(text) > maxBytes) {
    return failed([{ line: 1, column: 1, path: '', message: `longer than ${maxBytes} bytes` }])
  }
  if (nestingOf(text) > MAX_DEPTH) {
    return failed([{ line: 1, column: 1, path: '', message: `nested deeper than ${MAX_DEPTH} levels` }])
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, stringKeys: true, prettyErrors: false })
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  if (document.errors.length > 0) {
    return failed(document.errors.map((error) => ({ ...at(error.pos[0]), path: '', message: error.message })))
  }
  const warnings = document.warnings.map((warning) => ({ ...at(warning.pos[0]), path: '', message: warning.message }))
  if (warnings.length > 0) return failed(warnings)
  const refused = refuseExcess(document)
  if (refused !== undefined) return failed([{ ...at(refused.offset), path: '', message: refused.message }])
  let plain: unknown
  try {
    plain = document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {}
  } catch (error) {
    // Aliases of aliases that multiply past the bound.
    return failed([{ line: 1, column: 1, path: '', message: (error as Error).message }])
  }
  const parsed = schema.safeParse(plain)
  if (parsed.success) return { value: parsed.data, faults: [] }
  const faults = parsed.error.issues
    .slice(0, MAX_FAULTS)
    .flatMap((issue) => describeIssue(issue, schema))
    .map(({ path, message, atKey }) => ({
      ...at(offsetOf(document.contents, path, atKey)),
      path: path.map(String).join('.'),
      message,
    }))
  return failed(faults)
}

/** The faults as lines `file:line:column  path: message`, for an error's text or a terminal. */
export function formatFaults(file: string, faults: readonly YamlFault[]): string {
  return faults
    .map((fault) => {
      const subject = fault.path === '' ? '' : `${fault.path}: `
      return `${file}:${fault.line}:${fault.column}  ${subject}${fault.message}`
    })
    .join('\n')
}

/** Where a value stands in the text, so that a check made after parsing can name it too. The first line if it is not there. */
export function locateInYaml(text: string, path: readonly PropertyKey[]): { line: number; column: number } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, stringKeys: true, prettyErrors: false })
  const { line, col } = lines.linePos(offsetOf(document.contents, path, false))
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

/**
 * The candidate that `word` was most likely meant to be: equal but for case and `-`/`_`, or few edits away. Undefined
 * where none is near.
 */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, '')
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    if (plain(candidate) === plain(word)) return candidate
    const distance = editDistance(word, candidate, bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function failed(faults: readonly YamlFault[]): { value: undefined; faults: readonly YamlFault[] } {
  const sorted = [...faults].sort((a, b) => a.line - b.line || a.column - b.column).slice(0, MAX_FAULTS)
  const shortened = sorted.map((fault) => ({ ...fault, message: shorten(fault.message), path: shorten(fault.path) }))
  return { value: undefined, faults: shortened }
}

function shorten(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH)}…`
}

/** An upper bound of the nesting, counted before the parser recurses into it. */
function nestingOf(text: string): number {
  let open = 0
  let deepest = 0
  let indentDepth = 0
  const indents: number[] = []
  for (const line of text.split('\n')) {
    const indent = line.search(/[^ ]/)
    if (indent < 0) continue
    while (indents.length > 0 && (indents.at(-1) as number) >= indent) indents.pop()
    indents.push(indent)
    const dashes = /^(?:- +)*/.exec(line.slice(indent))?.[0].length ?? 0
    indentDepth = indents.length + dashes / 2
    for (const character of line) {
      if (character === '[' || character === '{') open++
      else if ((character === ']' || character === '}') && open > 0) open--
      if (open > deepest) deepest = open
    }
    deepest = Math.max(deepest, indentDepth)
  }
  return deepest
}

function refuseExcess(document: Document): { offset: number; message: string } | undefined {
  let aliases = 0
  let found: { offset: number; message: string } | undefined
  const refuse = (node: { range?: readonly number[] | null | undefined }, message: string): symbol => {
    found = { offset: node.range?.[0] ?? 0, message }
    return visit.BREAK
  }
  visit(document, {
    Alias(_key, node, path) {
      if (++aliases > MAX_ALIASES) return refuse(node, `more than ${MAX_ALIASES} aliases`)
      const target = node.resolve(document)
      if (target === undefined) return refuse(node, `*${node.source} has no anchor before it`)
      return path.includes(target) ? refuse(node, `*${node.source} holds itself`) : undefined
    },
    Collection(_key, node, path) {
      return path.length > MAX_DEPTH * 2 ? refuse(node, `nested deeper than ${MAX_DEPTH} levels`) : undefined
    },
    Map(_key, node) {
      // The library's own check compares every key with every other: 10 s for a hostile 256 KiB.
      const seen = new Set<string>()
      for (const pair of node.items) {
        if (seen.has(keyOf(pair)) && isNode(pair.key))
          return refuse(pair.key, 'this key stands here for the second time')
        seen.add(keyOf(pair))
      }
      return undefined
    },
  })
  return found
}

interface Described {
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** The fault is the key itself, not its value. */
  readonly atKey: boolean
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType): Described[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_FAULTS).map((key) => {
      const near = nearestWord(key, keysAt(schema, issue.path))
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      return { path: [...issue.path, key], message: `not a known key${hint}`, atKey: true }
    })
  }
  if (issue.code === 'invalid_union') {
    const inner = deepestBranch(issue.errors)
    if (inner !== undefined) {
      return inner.flatMap((one) => describeIssue({ ...one, path: [...issue.path, ...one.path] }, schema))
    }
  }
  if (issue.code === 'invalid_key') {
    const message = issue.issues.map((one) => one.message).join('; ')
    return [{ path: issue.path, message, atKey: true }]
  }
  return [{ path: issue.path, message: plainMessage(issue), atKey: false }]
}

/** Zod's own words, shortened; a message that the schema gives stays as it is. */
function plainMessage(issue: z.core.$ZodIssue): string {
  const message = issue.message
  if (issue.code === 'invalid_type' && message.endsWith('received undefined')) return 'missing'
  if (issue.code === 'invalid_type' && issue.expected === 'string' && message.startsWith('Invalid input')) {
    return 'must be text; put the value in quotes'
  }
  return message.replace(/^(Invalid (input|option|discriminator value)|Too (small|big))[:.] (e|E)xpected/, 'expected')
}

/** Of a union's branches the one that got furthest, where one did: it is what the writer meant. */
function deepestBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | undefined {
  const inside = branches.filter(
    (issues) => issues.length > 0 && issues.every((one) => one.path.length > 0 || one.code === 'unrecognized_keys'),
  )
  return inside.length === 1 ? inside[0] : undefined
}

/** The keys that a schema knows at a path, through optionals, defaults and unions. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let branches = unwrap(schema)
  for (const step of path) {
    branches = branches.flatMap((branch) => {
      const definition = branch._zod.def as unknown as Record<string, unknown>
      if (definition.type === 'object') {
        const next = (definition.shape as Record<PropertyKey, z.ZodType>)[step]
        return next === undefined ? [] : unwrap(next)
      }
      const next = (definition.type === 'record' ? definition.valueType : definition.element) as z.ZodType | undefined
      return next === undefined ? [] : unwrap(next)
    })
  }
  return branches.flatMap((branch) => {
    const definition = branch._zod.def as unknown as Record<string, unknown>
    return definition.type === 'object' ? Object.keys(definition.shape as object) : []
  })
}

function unwrap(schema: z.ZodType): z.ZodType[] {
  const definition = schema._zod.def as unknown as Record<string, unknown>
  if (definition.type === 'union') return (definition.options as z.ZodType[]).flatMap(unwrap)
  if (definition.type === 'pipe') return unwrap(definition.in as z.ZodType)
  if (definition.innerType !== undefined) return unwrap(definition.innerType as z.ZodType)
  return [schema]
}

/** The place of a path in the text; where it ends early (a missing key), of the last part that is there. */
function offsetOf(contents: unknown, path: readonly PropertyKey[], atKey: boolean): number {
  let node: unknown = contents
  let offset = startOf(node)
  for (const [index, step] of path.entries()) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((item) => isPair(item) && keyOf(item) === String(step))
      if (pair === undefined) return offset
      const onKey = (atKey && index === path.length - 1) || !isNode(pair.value)
      offset = startOf(onKey || isMap(pair.value) || isSeq(pair.value) ? pair.key : pair.value)
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      if (node === undefined) return offset
      offset = startOf(node)
    } else return offset
    if (isAlias(node)) return offset
  }
  return offset
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
}

function startOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + change))
    }
    previous = current
  }
  return previous[b.length]!
}
