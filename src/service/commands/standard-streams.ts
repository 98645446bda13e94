import { createWriteStream, fstatSync } from 'node:fs'
import { createConnection, Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

const STDOUT = 1

interface Standard {
  readonly stdin: Readable
  readonly signal: AbortSignal
}

/**
 * Joins standard input and output with a Unix socket, each half ending on its own. Resolves when the other side has
 * ended; how it ended is not to be seen here.
 */
export async function joinStandardStreams(path: string, { stdin, signal }: Standard): Promise<void> {
  const socket = createConnection({ path, allowHalfOpen: true })
  // The reader of standard output may leave before the writer does, and the other way round.
  const sent = pipeline(stdin, socket, { signal }).catch(() => undefined)
  const output = openStandardOutput()
  await pipeline(socket, output, { signal, end: false }).catch(() => undefined)
  await closeAfterWrites(output)
  // What is still to be sent has no taker any more, where the other side has closed both halves.
  await Promise.race([sent, new Promise((resolve) => socket.once('close', resolve))])
}

/** Ends the own hold on it only: others, such as the shell, may have the same socket, which `end` would shut for all. */
async function closeAfterWrites(output: Writable): Promise<void> {
  if (!output.destroyed) await new Promise<void>((resolve) => void output.write(Buffer.alloc(0), () => resolve()))
  output.destroy()
}

/** Standard output as a stream that can be closed, which `process.stdout` cannot. */
function openStandardOutput(): Writable {
  const about = fstatSync(STDOUT)
  const output =
    about.isFIFO() || about.isSocket()
      ? new Socket({ fd: STDOUT, readable: false, writable: true })
      : createWriteStream('', { fd: STDOUT })
  return output.on('error', () => undefined)
}
