import { type ConfigKey, describeKind, listKeys } from './keys.ts'
import { CONFIG_VERSION } from './migrate.ts'
import type { Section } from './section.ts'

/**
 * The file that `warren init` writes: every key with its description and default, commented out, so that a default that
 * gets better in a later release is not held back by an old file.
 */
export function writeCommentedConfig(sections: readonly Section[]): string {
  const lines = [
    '# The config of this node. Every key is shown with its default: take the # away to set it.',
    '# Options of a command win over environment variables (WARREN_SECTION_KEY), these over this file, the file over the',
    '# defaults. Relative paths are relative to the folder of this file. Check it with: warren config validate',
    `version: ${CONFIG_VERSION}`,
  ]
  for (const section of sections) {
    lines.push('', ...wrapComment(section.description, ''), `${section.name}:`)
    let open: readonly string[] = [section.name]
    for (const key of listKeys([section])) {
      const parents = key.path.slice(0, -1)
      for (const [depth, parent] of parents.entries()) {
        if (open[depth] !== parent) lines.push(`  # ${'  '.repeat(depth - 1)}${parent}:`)
      }
      open = parents
      const inner = '  '.repeat(parents.length - 1)
      lines.push(...wrapComment(`${key.description} (${describeKind(key)})`, '  '))
      lines.push(`  # ${inner}${key.path.at(-1)}: ${fallbackOf(key)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** A value as YAML on one line; what could be read as anything else is quoted. */
export function toInlineYaml(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'null'
  const plain = /^[A-Za-z0-9/~._-](?:[A-Za-z0-9/~._@%+ -]*[A-Za-z0-9/~._@%+-])?$/.test(value)
  const ambiguous =
    /^(?:true|false|null|yes|no|on|off|~|---|\.\.\.|[-+]?\.(?:inf|nan))$/i.test(value) ||
    /^[-. ]/.test(value) ||
    !Number.isNaN(Number(value)) ||
    /^\d[\d_.:e+-]*$/i.test(value)
  return plain && (!ambiguous || value === '.') ? value : JSON.stringify(value)
}

function fallbackOf(key: ConfigKey): string {
  return key.fallback === undefined ? '' : toInlineYaml(key.fallback)
}

/** Where a comment line is broken. */
const COMMENT_WIDTH = 118

function wrapComment(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = `${indent}#`
  for (const word of text.split(/\s+/)) {
    if (line.length + 1 + word.length > COMMENT_WIDTH && !line.endsWith('#')) {
      lines.push(line)
      line = `${indent}#`
    }
    line += ` ${word}`
  }
  return [...lines, line]
}
