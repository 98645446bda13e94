import { isDeepStrictEqual } from 'node:util'
import { type Document, isMap, isScalar, isSeq, type Pair, parseDocument, type YAMLMap } from 'yaml'
import { baseErrors } from '../base/errors.ts'
import { valueAt } from './load.ts'
import { toInlineYaml } from './template.ts'

/**
 * The text with one value set, everything else as it stands: comments, order, blank lines, quotes. In a file made by
 * `warren init` the new line follows the commented default. The text must be YAML without faults; whether the value fits
 * its key is for the caller to check. Fails with `not_supported` where aliases tie the value to others.
 */
export function setConfigValue(text: string, path: readonly string[], value: unknown): string {
  const document = parseDocument(text)
  const expected = changed(document.toJS() ?? {}, path, value)
  const spliced = spliceValue(text, document, { path, value })
  if (spliced !== undefined && reads(spliced, expected)) return spliced
  for (let depth = 1; depth < path.length; depth++) {
    if (!isMap(document.getIn(path.slice(0, depth), true)))
      document.setIn(path.slice(0, depth), document.createNode({}))
  }
  document.setIn(path, value)
  return rewritten(document, expected, path)
}

/** The text without that value, so that the default counts again; the same text where it is not set. */
export function resetConfigValue(text: string, path: readonly string[]): string {
  const document = parseDocument(text)
  const values = (document.toJS() ?? {}) as Record<string, unknown>
  if (valueAt(values, path) === undefined) return text
  const expected = changed(values, path, undefined)
  const spliced = spliceAway(text, document, path)
  if (spliced !== undefined && reads(spliced, expected)) return spliced
  document.deleteIn(path)
  return rewritten(document, expected, path)
}

function rewritten(document: Document, expected: unknown, path: readonly string[]): string {
  const text = document.toString({ lineWidth: 0 })
  if (reads(text, expected)) return text
  throw baseErrors.not_supported(`${path.join('.')} stands in a part of the file that only a person can change`, {
    hint: 'Change it by hand: warren config edit',
  })
}

/** True where the text means exactly these values; a header without keys is the same as none. */
function reads(text: string, expected: unknown): boolean {
  const document = parseDocument(text)
  return document.errors.length === 0 && isDeepStrictEqual(withoutEmpty(document.toJS()), withoutEmpty(expected))
}

function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, withoutEmpty(inner)] as const)
  const kept = entries.filter(([, inner]) => inner !== null && inner !== undefined)
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** A copy with that one value changed; what aliases share with other parts is not changed there. */
function changed(values: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  const map = typeof values === 'object' && values !== null ? (values as Record<string, unknown>) : {}
  if (step === undefined) return value
  const { [step]: before, ...others } = map
  const after = changed(before, rest, value)
  return after === undefined ? others : { ...others, [step]: after }
}

/** Undefined where the text has a form that only rewriting the document can change (flow maps, tags, anchors). */
function spliceValue(
  text: string,
  document: Document,
  { path, value }: { path: readonly string[]; value: unknown },
): string | undefined {
  const { depth, map, pair } = descend(document, path)
  if (map !== undefined && map.flow === true) return undefined
  if (pair !== undefined && depth === path.length) return replaceValue(text, pair, value)
  if (pair !== undefined && !isEmptyValue(pair)) return undefined
  const missing = path.slice(depth)
  if (map === undefined || (depth === 0 && pair === undefined)) {
    const separator = text === '' || text.endsWith('\n') ? '' : '\n'
    return `${text}${separator}${blockOf(missing, value, '')}`
  }
  const header = pair ?? parentPair(document, path.slice(0, depth))
  const region = regionOf(text, document, { header, top: path[0] as string })
  if (header === undefined || region === undefined) return undefined
  const indent = pair === undefined ? indentOf(text, map.items[0] as Pair) : `${indentOf(text, pair)}  `
  const at = missing.length === 1 ? afterCommentedDefault(text, region, missing[0] as string) : undefined
  const point = at ?? (pair === undefined ? afterPair(text, map.items.at(-1) as Pair) : lineEnd(text, startOf(pair)))
  const newline = point > 0 && text[point - 1] !== '\n' ? '\n' : ''
  return `${text.slice(0, point)}${newline}${blockOf(missing, value, indent)}${text.slice(point)}`
}

function spliceAway(text: string, document: Document, path: readonly string[]): string | undefined {
  const { depth, map, pair } = descend(document, path)
  if (depth !== path.length || pair === undefined || map?.flow === true) return undefined
  const start = text.lastIndexOf('\n', startOf(pair) - 1) + 1
  if (text.slice(start, startOf(pair)).trim() !== '') return undefined
  return text.slice(0, start) + text.slice(afterPair(text, pair))
}

/** How far the path exists: the pair of its last part that is there, and the map that this part is, or would be, in. */
function descend(
  document: Document,
  path: readonly string[],
): { depth: number; map: YAMLMap | undefined; pair: Pair | undefined } {
  let map = isMap(document.contents) ? document.contents : undefined
  let pair: Pair | undefined
  for (let depth = 0; depth < path.length; depth++) {
    const next = map === undefined ? undefined : findPair(map, path[depth] as string)
    if (next === undefined) return { depth, map, pair: undefined }
    pair = next
    if (depth + 1 === path.length) return { depth: depth + 1, map, pair }
    if (!isMap(pair.value)) return { depth: depth + 1, map, pair }
    map = pair.value
  }
  return { depth: path.length, map, pair }
}

function parentPair(document: Document, path: readonly string[]): Pair | undefined {
  return path.length === 0 ? undefined : descend(document, path).pair
}

function findPair(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
}

function isEmptyValue(pair: Pair): boolean {
  return pair.value === null || (isScalar(pair.value) && pair.value.value === null && (pair.value.source ?? '') === '')
}

function rangeOf(node: unknown): [start: number, end: number] | undefined {
  const range = (node as { range?: [number, number, number] | null } | null)?.range
  return range == null ? undefined : [range[0], range[1]]
}

function startOf(pair: Pair): number {
  return rangeOf(pair.key)?.[0] ?? 0
}

/** The end of what belongs to a pair, without white space and comments after it. */
function endOf(text: string, pair: Pair): number {
  const keyEnd = rangeOf(pair.key)?.[1] ?? 0
  const colon = text.indexOf(':', keyEnd)
  const value = isEmptyValue(pair) ? undefined : rangeOf(pair.value)
  const end = Math.max(colon + 1, value?.[1] ?? 0)
  const body = text.slice(0, end)
  return isSeq(pair.value) || isMap(pair.value) || isScalar(pair.value) ? body.trimEnd().length : end
}

function replaceValue(text: string, pair: Pair, value: unknown): string | undefined {
  const keyEnd = rangeOf(pair.key)?.[1]
  if (keyEnd === undefined) return undefined
  const colon = text.indexOf(':', keyEnd)
  const valueStart = isEmptyValue(pair) ? colon + 1 : (rangeOf(pair.value)?.[0] ?? colon + 1)
  if (colon < 0 || text.slice(colon + 1, valueStart).trim() !== '') return undefined
  return `${text.slice(0, colon + 1)} ${toInlineYaml(value)}${text.slice(endOf(text, pair))}`
}

/** The offset of the line after the one where this offset is. */
function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset)
  return end < 0 ? text.length : end + 1
}

function afterPair(text: string, pair: Pair): number {
  return lineEnd(text, endOf(text, pair))
}

function indentOf(text: string, pair: Pair): string {
  const start = startOf(pair)
  return text.slice(text.lastIndexOf('\n', start - 1) + 1, start)
}

/** From a header to the next top-level key: where the commented defaults of its section stand. */
function regionOf(
  text: string,
  document: Document,
  { header, top }: { header: Pair | undefined; top: string },
): [number, number] | undefined {
  if (header === undefined || !isMap(document.contents)) return undefined
  const items = document.contents.items as Pair[]
  const next = items[items.findIndex((item) => isScalar(item.key) && String(item.key.value) === top) + 1]
  return [startOf(header), next === undefined ? text.length : startOf(next)]
}

function afterCommentedDefault(text: string, [from, to]: [number, number], key: string): number | undefined {
  const found = new RegExp(`^[ \\t]+# ?${key}:(?: .*)?$`, 'm').exec(text.slice(from, to))
  return found === null ? undefined : lineEnd(text, from + found.index)
}

function blockOf(path: readonly string[], value: unknown, indent: string): string {
  return path
    .map((step, depth) => {
      const end = depth === path.length - 1 ? ` ${toInlineYaml(value)}` : ''
      return `${indent}${'  '.repeat(depth)}${step}:${end}\n`
    })
    .join('')
}
