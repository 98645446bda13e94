/** Tells which paths of a folder are left out of its package. */
export interface IgnoreRules {
  /** Whether this path, `/`-separated and relative to the folder, is left out. A folder that is takes all below it along. */
  ignores(path: string, isFolder: boolean): boolean
}

/** Name of the file with a project's own rules. It is not packed itself. */
export const IGNORE_NAME = '.warrenignore'
/** A page of rules; more is not what this file is for, and each costs time for each file. */
export const MAX_IGNORE_BYTES = 64 * 1024

interface Rule {
  readonly pattern: RegExp
  readonly foldersOnly: boolean
  readonly keeps: boolean
}

/**
 * Rules as in `.gitignore`: one glob a line, `#` comments, `*` and `?` within a name, `**` across names, `[a-z]` sets, a
 * `/` at the start or inside ties the glob to the folder's root, one at the end means folders only, `!` takes back. The
 * last rule that fits decides.
 */
export function parseIgnore(text: string): IgnoreRules {
  const rules = text.split(/\r?\n/).flatMap(parseRule)
  return {
    ignores(path, isFolder) {
      const rule = rules.findLast(({ pattern, foldersOnly }) => (isFolder || !foldersOnly) && pattern.test(path))
      return rule !== undefined && !rule.keeps
    },
  }
}

function parseRule(line: string): Rule[] {
  let glob = line.replace(/(?<!\\) +$/, '')
  if (glob === '' || glob.startsWith('#')) return []
  const keeps = glob.startsWith('!')
  if (keeps) glob = glob.slice(1)
  const foldersOnly = glob.endsWith('/')
  if (foldersOnly) glob = glob.slice(0, -1)
  const isTied = glob.includes('/')
  if (glob.startsWith('/')) glob = glob.slice(1)
  if (glob === '') return []
  const pattern = new RegExp(`^${isTied ? '' : '(?:.*/)?'}${globToRegExp(glob)}$`, 'su')
  return [{ pattern, foldersOnly, keeps }]
}

function globToRegExp(glob: string): string {
  let source = ''
  for (let at = 0; at < glob.length; ) {
    const rest = glob.slice(at)
    const set = /^\[(!?)([^\]/]+)\]/.exec(rest)
    const token = /^(?:\*\*\/|\/\*\*$|\*+|\?|\\.)/su.exec(rest)?.[0]
    if (set !== null) {
      source += `(?!/)[${set[1] === '!' ? '^' : ''}${(set[2] as string).replaceAll(/[\\[\]^&]/g, '\\$&').replace(/^-|-$/, '\\-')}]`
      at += set[0].length
    } else if (token === '**/') {
      source += '(?:.*/)?'
      at += token.length
    } else if (token === '/**') {
      source += '/.*'
      at += token.length
    } else if (token?.startsWith('*')) {
      source += '[^/]*'
      at += token.length
    } else if (token === '?') {
      source += '[^/]'
      at += 1
    } else {
      const literal = token ?? String.fromCodePoint(rest.codePointAt(0) as number)
      source += (token === undefined ? literal : literal.slice(1)).replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
      at += literal.length
    }
  }
  return source
}
