/** Reads numbers and parts off the front of bytes from outside; never beyond their end. */
export class ByteReader {
  readonly #bytes: Buffer
  readonly #tooShort: () => Error
  #at = 0

  /** `tooShort` makes the error for bytes that end before what is asked of them. */
  constructor(bytes: Uint8Array, tooShort: () => Error) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#tooShort = tooShort
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** The next bytes; a view, no copy. */
  take(length: number): Buffer {
    if (length > this.left) throw this.#tooShort()
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** The next whole number, big-endian, of 1 to 6 bytes. */
  unsigned(length: number): number {
    return this.take(length).readUIntBE(0, length)
  }
}
