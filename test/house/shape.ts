/** Finds files and functions that are too long, badly named, or say nothing about themselves. */
import { posix } from 'node:path'
import { Visitor } from 'oxc-parser'
import { exportsOf, type Files, isTest, type NamedExport, parse } from './source.ts'

const MAX_FILE_LINES = 400
const MAX_FUNCTION_LINES = 80
/** And an object of options. */
const MAX_PARAMETERS = 3
/** Named after a room, whose purpose ARCHITECTURE.md gives, or after the function that takes them. */
const EXPLAINED = /(Contract|Errors|Section|Commands|Routes|Doctor|Options|Init|Input)$/
const VAGUE = /(^|\/)(utils?|common|misc|helpers?|shared|lib)(\.[a-z]+)?(\/|$)/

export function nameComplaints(paths: Iterable<string>): string[] {
  return [...paths].flatMap((path) => {
    if (VAGUE.test(path)) return [`${path}: the name says nothing about what is in it`]
    const plain = path.split('/').every((part) => /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(part))
    return plain ? [] : [`${path}: names are kebab-case`]
  })
}

export function sizeComplaints(files: Files): string[] {
  return [...files].flatMap(([path, text]) => {
    const lines = text.split('\n').length - 1
    const tooLong = lines > MAX_FILE_LINES ? [`${path}: ${lines} lines, more than ${MAX_FILE_LINES}`] : []
    return isTest(path) ? tooLong : [...tooLong, ...functionComplaints(path, text)]
  })
}

/** Folders (first part of the path) whose index.ts does not open with a story of some sentences. */
export function storyComplaints(files: Files): string[] {
  const folders = new Set([...files.keys()].filter((path) => path.includes('/')).map((path) => path.split('/')[0]))
  return [...folders].flatMap((folder) => {
    const index = files.get(`${folder}/index.ts`)
    // cli is started and not imported, so its story is where it starts.
    const opening = index ?? (folder === 'cli' ? files.get('cli/main.ts')?.replace(/^#!.*\n/, '') : undefined)
    if (opening === undefined) return [`${folder}: has no index.ts`]
    const start = new RegExp(`^/\\*\\*\\n \\* ${folder}: [\\s\\S]{100,}?\\*/`)
    return start.test(opening) ? [] : [`${folder}: index.ts does not open with /** and "${folder}: …"`]
  })
}

/** Names that a door gives to others without a word about them. */
export function docComplaints(files: Files): string[] {
  const doors = [...files.keys()].filter((path) => /^[a-z]+\/(index|contract)\.ts$/.test(path))
  const complaints = doors.flatMap((door) => {
    const places = [...exportedNames(files, door).values()]
    return places.filter((place) => !EXPLAINED.test(place.name) && !isDocumented(files, place))
  })
  return [...new Set(complaints.map(({ path, name }) => `${path}: ${name} has no doc comment`))]
}

interface Place {
  path: string
  name: string
  start: number
}

/** Every exported name of a file with the place of its declaration, through re-exports. */
function exportedNames(files: Files, path: string): Map<string, Place> {
  const names = new Map<string, Place>()
  for (const exported of exportsOf(path, files.get(path) ?? '')) {
    const { entry } = exported
    if (!entry.moduleRequest) {
      for (const [name, place] of localExport(files, { path, exported })) names.set(name, place)
      continue
    }
    const target = posix.join(posix.dirname(path), entry.moduleRequest.value)
    if (!files.has(target)) continue
    const inner = exportedNames(files, target)
    if (entry.importName.kind === 'Name') {
      const place = inner.get(entry.importName.name as string)
      if (place !== undefined) names.set(entry.exportName.name as string, place)
    } else for (const [name, place] of inner) names.set(name, place)
  }
  return names
}

function localExport(files: Files, { path, exported }: { path: string; exported: NamedExport }): [string, Place][] {
  const { entry, start } = exported
  const name = entry.exportName.name ?? 'default'
  const text = files.get(path) ?? ''
  // `export { name }`: the comment stands where it is declared.
  if (/^export\s*(type\s*)?\{/.test(text.slice(start))) {
    const local = entry.localName.name ?? name
    const declared = new RegExp(
      `^(async function\\*?|function\\*?|class|const|let|interface|type) ${local}\\b`,
      'm',
    ).exec(text)
    return declared === null ? [] : [[name, { path, name, start: declared.index }]]
  }
  return [[name, { path, name, start }]]
}

function isDocumented(files: Files, { path, start }: Place): boolean {
  const text = files.get(path) ?? ''
  return parse(path, text).comments.some(
    ({ type, value, end }) =>
      type === 'Block' && value.startsWith('*') && end <= start && text.slice(end, start).trim() === '',
  )
}

interface FunctionNode {
  start: number
  end: number
  params: unknown[]
}

function functionComplaints(path: string, text: string): string[] {
  const complaints: string[] = []
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length
  const checkLength = ({ start, end }: FunctionNode): void => {
    const lines = lineOf(end) - lineOf(start) + 1
    if (lines > MAX_FUNCTION_LINES) complaints.push(`${path}:${lineOf(start)}: a function of ${lines} lines`)
  }
  const check = (node: FunctionNode): void => {
    checkLength(node)
    const count = node.params.filter((param) => !isOptions(param)).length
    if (count > MAX_PARAMETERS)
      complaints.push(`${path}:${lineOf(node.start)}: ${count} parameters; use an options object`)
  }
  new Visitor({
    FunctionDeclaration: check,
    FunctionExpression: check,
    // As arguments they take what the callee gives.
    ArrowFunctionExpression: checkLength,
  }).visit(parse(path, text).program)
  return complaints
}

function isOptions(param: unknown): boolean {
  const { type, left, name } = param as { type: string; left?: unknown; name?: string }
  if (type === 'AssignmentPattern') return isOptions(left)
  return type === 'ObjectPattern' || name === 'options'
}
