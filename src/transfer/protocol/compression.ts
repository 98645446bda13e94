import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { transferErrors } from '../errors.ts'
import type { Encoding } from './messages.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** Below this a frame's own bytes and the call cost more than is saved. */
const MIN_BYTES = 256

/** After content that does not shrink this many messages at most go out untried: 4 MiB. */
const MAX_UNTRIED = 16

/** Packs the messages of one stream. Content that does not shrink, such as media or archives, is tried ever less often. */
export class Packer {
  #untried = 0
  #pause = 0

  /** The shorter of the bytes and their Zstandard frame; made off the main thread. */
  async pack(bytes: Buffer): Promise<{ encoding: Encoding; bytes: Buffer }> {
    if (bytes.length < MIN_BYTES || this.#untried-- > 0) return { encoding: 'raw', bytes }
    // All of it in one turn: the default would be a turn and a buffer for each 16 KiB.
    const packed = await compress(bytes, { chunkSize: Math.max(1024, bytes.length) })
    const shrinks = packed.length < bytes.length
    this.#pause = shrinks ? 0 : Math.min(MAX_UNTRIED, this.#pause * 2 + 1)
    this.#untried = this.#pause
    return shrinks ? { encoding: 'zstd', bytes: packed } : { encoding: 'raw', bytes }
  }
}

/**
 * The `expected` bytes that were packed. Anything that unpacks to another length fails with `source_dishonest` before it
 * takes more memory than that.
 */
export async function unpack(encoding: Encoding, bytes: Uint8Array, expected: number): Promise<Uint8Array> {
  const unpacked = encoding === 'raw' ? bytes : await unpackFrame(bytes, expected)
  if (unpacked.length === expected) return unpacked
  throw transferErrors.source_dishonest(`${unpacked.length} bytes came where ${expected} were announced`)
}

async function unpackFrame(bytes: Uint8Array, expected: number): Promise<Buffer> {
  try {
    return await decompress(bytes, {
      chunkSize: Math.max(1024, Math.min(expected, bytes.length * 16)),
      maxOutputLength: Math.max(1, expected),
      // A frame names the memory it needs; ours never need more than 8 MiB (the default level's window).
      params: { [constants.ZSTD_d_windowLogMax]: 23 },
    })
  } catch (cause) {
    throw transferErrors.source_dishonest('what came is no Zstandard frame of the length that was announced', { cause })
  }
}
