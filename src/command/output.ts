import type { Writable } from 'node:stream'
import type { WarrenError } from '../base/errors.ts'
import type { CommandResult, StreamLine, Table } from './define.ts'
import type { Style } from './style.ts'
import { onlyStyled, printable, printableLines, renderTable } from './table.ts'

/** Prints a result on `stdout`: JSON, a table, or text. */
export async function printResult(
  result: CommandResult,
  output: { stdout: Writable; json: boolean; style: Style },
): Promise<void> {
  const { stdout, json, style } = output
  if (json) return await print(stdout, `${JSON.stringify(result.json ?? null, null, 2)}\n`)
  if (result.human === undefined) return
  const text = isTable(result.human) ? renderTable(result.human, style) : result.human
  await print(stdout, `${onlyStyled(text)}\n`)
}

/** Prints the lines of a stream as they come and gives the last exit code. Waits where the reader is slow. */
export async function printStream(
  lines: AsyncIterable<StreamLine>,
  output: { stdout: Writable; json: boolean },
): Promise<number> {
  let exitCode = 0
  for await (const line of lines) {
    if (output.json && line.json !== undefined) await print(output.stdout, `${JSON.stringify(line.json)}\n`)
    if (!output.json && line.human !== undefined) await print(output.stdout, `${onlyStyled(line.human)}\n`)
    if (line.exitCode !== undefined) exitCode = line.exitCode
  }
  return exitCode
}

/** An error for a person: code, what is wrong, and the next step. */
export function errorText(error: WarrenError, style: Style): string {
  const lines = [
    `${style.red('error')}  ${style.bold(printable(error.code))}   ${printableLines(error.message)}`,
    printableLines(error.hint ?? ''),
  ]
  return lines.join('\n').trimEnd().replaceAll('\n', '\n       ')
}

/** Writes, and waits until the stream takes more. */
export function print(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()))
  })
}

function isTable(human: string | Table): human is Table {
  return typeof human !== 'string'
}
