import { promisify } from 'node:util'
import { constants, crc32, deflateRaw, deflateRawSync } from 'node:zlib'

/** Large enough that blocks without each other's history compress as well; small enough to spread over cores. */
const BLOCK_BYTES = 1024 * 1024
/** Node's thread pool has four threads. */
const MAX_IN_FLIGHT = 4
/** The archive is carriage only: what is kept and sent between nodes is chunks, so speed counts and size little. */
const LEVEL = 1
/** A part of a block that tells whether compressing the block is worth the time. */
const SAMPLE_BYTES = 16 * 1024
const WORTHWHILE = 0.95
/** Magic, deflate, no flags, no time, no hint, unknown system (RFC 1952, 2.3): nothing that differs between machines. */
const MEMBER_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
/** An empty block that is the last (RFC 1951, 3.2.6). */
const LAST_BLOCK = Buffer.from([0x03, 0x00])
const MAX_STORED_BYTES = 0xffff

const deflateBlock = promisify<Buffer, { level: number; finishFlush: number }, Buffer>(deflateRaw)

/**
 * Writes gzip (RFC 1952) with blocks compressed on several cores and joined, as pigz does; blocks that would not shrink
 * are stored. The same input gives the same bytes. `sink` is called with one piece after another, never twice at once.
 */
export class GzipWriter {
  readonly #sink: (bytes: Uint8Array) => Promise<unknown>
  #block: Buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  #filled = 0
  #crc = 0
  #length = 0
  #pending: { readonly block: Buffer; readonly compressed: Promise<Buffer> }[] = []
  /** Blocks that were written, to be filled again. */
  #free: Buffer[] = []
  #started = false
  constructor(sink: (bytes: Uint8Array) => Promise<unknown>) {
    this.#sink = sink
  }

  /** Takes bytes (copied) and waits where the sink or the cores are behind. Fails as the sink does. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#crc = crc32(bytes, this.#crc)
    this.#length += bytes.length
    let at = 0
    while (at < bytes.length) {
      const length = Math.min(bytes.length - at, BLOCK_BYTES - this.#filled)
      this.#block.set(bytes.subarray(at, at + length), this.#filled)
      this.#filled += length
      at += length
      if (this.#filled === BLOCK_BYTES) await this.#endBlock()
    }
  }

  /** Ends the member. Another may follow in the same file: members add up (RFC 1952, 2.2). */
  async end(): Promise<void> {
    if (this.#filled > 0) await this.#endBlock()
    while (this.#pending.length > 0) await this.#writeOldest()
    const trailer = Buffer.alloc(8)
    trailer.writeUInt32LE(this.#crc, 0)
    trailer.writeUInt32LE(this.#length % 2 ** 32, 4)
    await this.#put(Buffer.concat([LAST_BLOCK, trailer]))
  }

  async #endBlock(): Promise<void> {
    const block = this.#block.subarray(0, this.#filled)
    this.#block = this.#free.pop() ?? Buffer.allocUnsafe(BLOCK_BYTES)
    this.#filled = 0
    const compressed = isWorthCompressing(block)
      ? deflateBlock(block, { level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH })
      : Promise.resolve(storeBlock(block))
    // A failure is met when its turn to be written comes.
    compressed.catch(() => undefined)
    this.#pending.push({ block, compressed })
    if (this.#pending.length > MAX_IN_FLIGHT) await this.#writeOldest()
  }

  async #writeOldest(): Promise<void> {
    const oldest = this.#pending.shift()
    if (oldest === undefined) return
    await this.#put(await oldest.compressed)
    if (oldest.block.length === BLOCK_BYTES) this.#free.push(oldest.block)
  }

  async #put(bytes: Buffer): Promise<void> {
    if (!this.#started) await this.#sink(MEMBER_HEADER)
    this.#started = true
    await this.#sink(bytes)
  }
}

function isWorthCompressing(block: Buffer): boolean {
  const start = Math.max(0, Math.floor((block.length - SAMPLE_BYTES) / 2))
  const sample = block.subarray(start, start + SAMPLE_BYTES)
  return deflateRawSync(sample, { level: LEVEL }).length < sample.length * WORTHWHILE
}

/** Stored blocks, none the last (RFC 1951, 3.2.4). */
function storeBlock(block: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < block.length; at += MAX_STORED_BYTES) {
    const part = block.subarray(at, at + MAX_STORED_BYTES)
    const head = Buffer.alloc(5)
    head.writeUInt16LE(part.length, 1)
    head.writeUInt16LE(~part.length & 0xffff, 3)
    parts.push(head, part)
  }
  return Buffer.concat(parts)
}
