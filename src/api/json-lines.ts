import { StringDecoder } from 'node:string_decoder'
import { apiErrors } from './errors.ts'

/** Longest line: a log line of 64 KiB with its escapes fits many times. */
const MAX_LINE_BYTES = 4 * 1024 * 1024

/** The JSON values of a stream of lines. Fails with `response_invalid` for a line that is too long or no JSON. */
export async function* readLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const part of source) {
    rest += decoder.write(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
    const lines = rest.split('\n')
    rest = lines.pop() as string
    if (rest.length > MAX_LINE_BYTES) throw apiErrors.response_invalid(`a line of more than ${MAX_LINE_BYTES} bytes`)
    for (const line of lines) if (line !== '') yield parseLine(line)
  }
  if (rest !== '') yield parseLine(rest)
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw apiErrors.response_invalid(`a line that is not JSON: ${line.slice(0, 80)}`, { cause: error })
  }
}
