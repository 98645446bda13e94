import { stripVTControlCharacters } from 'node:util'
import type { Table } from './define.ts'
import type { Style } from './style.ts'

/** Text from elsewhere without what could move the cursor or colour the screen. */
export function printable(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return stripVTControlCharacters(value).replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�')
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
