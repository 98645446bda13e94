import { createHash } from 'node:crypto'
import { cutLength, MAX_CHUNK_BYTES } from './cutter.ts'
import type { IndexChunk } from './package-index.ts'

/**
 * Cuts one file after another into chunks and hashes them. Bytes may come in any portions: the cuts depend on the
 * content alone. `add` never keeps a reference to what it was given.
 */
export class ContentCutter {
  #kept = Buffer.alloc(MAX_CHUNK_BYTES)
  #keptBytes = 0

  /** Takes more of the file and gives the chunks that are now complete. */
  add(bytes: Uint8Array): IndexChunk[] {
    const chunks: IndexChunk[] = []
    let at = 0
    while (this.#keptBytes > 0 && at < bytes.length) {
      at += this.#keep(bytes, at)
      if (this.#keptBytes < MAX_CHUNK_BYTES) return chunks
      const length = cutLength(this.#kept, 0, this.#keptBytes)
      chunks.push(chunkOf(this.#kept, 0, length))
      // What was kept before these bytes came has been used up: go on in place, without copying.
      const rest = this.#keptBytes - length
      if (rest <= at) {
        at -= rest
        this.#keptBytes = 0
      } else {
        this.#kept.copyWithin(0, length, this.#keptBytes)
        this.#keptBytes = rest
      }
    }
    while (bytes.length - at >= MAX_CHUNK_BYTES) {
      const length = cutLength(bytes, at, bytes.length)
      chunks.push(chunkOf(bytes, at, length))
      at += length
    }
    if (at < bytes.length) this.#keep(bytes, at)
    return chunks
  }

  /** Ends the file: gives its last chunks, and is ready for the next file. */
  finish(): IndexChunk[] {
    const chunks: IndexChunk[] = []
    let at = 0
    while (at < this.#keptBytes) {
      const length = cutLength(this.#kept, at, this.#keptBytes)
      chunks.push(chunkOf(this.#kept, at, length))
      at += length
    }
    this.#keptBytes = 0
    return chunks
  }

  #keep(bytes: Uint8Array, at: number): number {
    const length = Math.min(bytes.length - at, MAX_CHUNK_BYTES - this.#keptBytes)
    this.#kept.set(bytes.subarray(at, at + length), this.#keptBytes)
    this.#keptBytes += length
    return length
  }
}

function chunkOf(bytes: Uint8Array, start: number, length: number): IndexChunk {
  return { hash: hashChunk(bytes.subarray(start, start + length)), size: length }
}

/** SHA-256 of a chunk, in hex: the name by which it is known everywhere. */
export function hashChunk(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
