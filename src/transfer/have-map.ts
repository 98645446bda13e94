import { hash } from 'node:crypto'

const MAGIC = Buffer.from('WHV\x01', 'latin1')
const HEADER_BYTES = MAGIC.length + 4
const HASH_BYTES = 32

/** Which chunks of a package are there: one bit each. */
export class HaveMap {
  readonly size: number
  readonly #bits: Uint8Array
  #count = 0

  constructor(size: number) {
    this.size = size
    this.#bits = new Uint8Array(Math.ceil(size / 8))
  }

  /** Chunks that are there. */
  get count(): number {
    return this.#count
  }

  get complete(): boolean {
    return this.#count === this.size
  }

  has(ordinal: number): boolean {
    return ((this.#bits[ordinal >>> 3] ?? 0) & (1 << (ordinal & 7))) !== 0
  }

  add(ordinal: number): void {
    if (ordinal < 0 || ordinal >= this.size || this.has(ordinal)) return
    this.#bits[ordinal >>> 3] = (this.#bits[ordinal >>> 3] as number) | (1 << (ordinal & 7))
    this.#count++
  }

  delete(ordinal: number): void {
    if (!this.has(ordinal)) return
    this.#bits[ordinal >>> 3] = (this.#bits[ordinal >>> 3] as number) & ~(1 << (ordinal & 7))
    this.#count--
  }

  fill(): this {
    for (let ordinal = 0; ordinal < this.size; ordinal++) this.add(ordinal)
    return this
  }

  copy(): HaveMap {
    const copy = new HaveMap(this.size)
    copy.#bits.set(this.#bits)
    copy.#count = this.#count
    return copy
  }

  /** The file `have`: magic and version, count, bits with the lowest first, SHA-256 of all before it. */
  encode(): Buffer {
    const body = Buffer.alloc(HEADER_BYTES + this.#bits.length)
    MAGIC.copy(body)
    body.writeUInt32BE(this.size, MAGIC.length)
    body.set(this.#bits, HEADER_BYTES)
    return Buffer.concat([body, hash('sha256', body, 'buffer')])
  }

  /** The map in a file's bytes; undefined where they are damaged or not a map. */
  static decode(bytes: Uint8Array): HaveMap | undefined {
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (data.length < HEADER_BYTES + HASH_BYTES || !data.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
    const size = data.readUInt32BE(MAGIC.length)
    if (data.length !== haveMapBytes(size)) return undefined
    const body = data.subarray(0, -HASH_BYTES)
    if (!hash('sha256', body, 'buffer').equals(data.subarray(-HASH_BYTES))) return undefined
    const map = new HaveMap(size)
    const bits = body.subarray(HEADER_BYTES)
    for (let ordinal = 0; ordinal < size; ordinal++) {
      if (((bits[ordinal >>> 3] as number) & (1 << (ordinal & 7))) !== 0) map.add(ordinal)
    }
    return map
  }
}

/** Length of the file for a map of `size` chunks. */
export function haveMapBytes(size: number): number {
  return HEADER_BYTES + Math.ceil(size / 8) + HASH_BYTES
}
