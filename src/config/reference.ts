import { describeKind, listKeys } from './keys.ts'
import type { Section } from './section.ts'
import { toInlineYaml } from './template.ts'

/** The tables of `docs/config.md`: every section with its keys, defaults and variables. */
export function writeConfigReference(sections: readonly Section[]): string {
  return [...sections]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((section) => {
      const rows = listKeys([section]).map((key) => {
        const name = key.path.slice(1).join('.')
        const fallback = key.fallback === undefined ? '' : `\`${toInlineYaml(key.fallback)}\``
        return `| \`${name}\` | ${fallback} | ${cell(describeKind(key))} | ${cell(key.description)} |`
      })
      const head = '| key | default | takes | meaning |\n|---|---|---|---|'
      return `### ${section.name}\n\n${section.description}\n\n${head}\n${rows.join('\n')}\n`
    })
    .join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
