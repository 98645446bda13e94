import { stripVTControlCharacters } from 'node:util'
import type { Table } from './define.ts'
import type { Style } from './style.ts'

/** Control characters but tab and line feed, and what turns the direction of text round (Unicode TR 9). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g
/** A colour or weight, or one character that may do anything else to a terminal. */
const STYLE_OR_UNPRINTABLE = new RegExp(`\u001b\\[[0-9;]*m|${UNPRINTABLE.source}`, 'g')

/** Text from elsewhere, on one line, without what could move the cursor, colour the screen or turn text round. */
export function printable(value: string): string {
  return stripVTControlCharacters(value)
    .replaceAll(/[\t\n]/g, ' ')
    .replaceAll(UNPRINTABLE, '�')
}

/** As `printable`, but with its lines; who prints it sets the further ones apart from its own. */
export function printableLines(value: string): string {
  return value.split('\n').map(printable).join('\n')
}

/** Text that may have lines and colours, without anything else that a terminal would act on. */
export function onlyStyled(text: string): string {
  return text.replaceAll(STYLE_OR_UNPRINTABLE, (found) => (found.length > 1 ? found : '�'))
}

/** The table as lines: two spaces between columns, a bold head, cells in their own colours kept. */
export function renderTable(table: Table, style: Style): string {
  if (table.rows.length === 0) return table.empty ?? 'nothing'
  const rows = table.rows.map((row) => row.map((cell) => cell.replaceAll(/[\n\t]/g, ' ')))
  const widths = table.columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => widthOf(row[index] ?? ''))),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const space = ' '.repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell)))
        return table.columns[index]?.align === 'right' ? space + cell : cell + space
      })
      .join('  ')
      .trimEnd()
  return [style.bold(line(table.columns.map(({ title }) => title))), ...rows.map(line)].join('\n')
}

function widthOf(cell: string): number {
  return [...stripVTControlCharacters(cell)].length
}
