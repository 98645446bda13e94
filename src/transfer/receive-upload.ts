import { PACKAGE_PAYLOAD_TYPE } from '../bundle/index.ts'
import { decodeEnvelope, type Envelope } from '../identity/index.ts'
import { transferErrors } from './errors.ts'
import { MAX_SIGNATURE_BYTES } from './package-header.ts'

const LENGTH_BYTES = 4

/**
 * Takes the body of an upload apart. The archive's bytes must be read to the end or given up, which ends the upload.
 * Fails with `upload_invalid`, or `envelope_invalid`.
 */
export async function receiveUpload(
  body: AsyncIterable<Uint8Array>,
): Promise<{ signature: Envelope | undefined; archive: AsyncGenerator<Uint8Array> }> {
  const reader = new PrefixReader(body)
  try {
    const length = (await reader.take(LENGTH_BYTES)).readUInt32BE()
    if (length > MAX_SIGNATURE_BYTES) {
      throw transferErrors.upload_invalid(`a signature of ${length} bytes; at most ${MAX_SIGNATURE_BYTES} are taken`, {
        hint: 'The body is: four bytes length, the envelope, the archive.',
      })
    }
    const bytes = await reader.take(length)
    const signature =
      length === 0
        ? undefined
        : decodeEnvelope(bytes, { payloadType: PACKAGE_PAYLOAD_TYPE, maxBytes: MAX_SIGNATURE_BYTES })
    return { signature, archive: reader.rest() }
  } catch (error) {
    await reader.close()
    throw error
  }
}

/** Some bytes first, the rest as it comes. */
class PrefixReader {
  readonly #iterator: AsyncIterator<Uint8Array>
  #held: Buffer = Buffer.alloc(0)
  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  async take(length: number): Promise<Buffer> {
    while (this.#held.length < length) {
      const next = await this.#iterator.next()
      if (next.done === true) throw transferErrors.upload_invalid('the body ended before the archive began')
      this.#held = Buffer.concat([this.#held, next.value])
    }
    const taken = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    return taken
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    try {
      if (this.#held.length > 0) yield this.#held
      for (;;) {
        const next = await this.#iterator.next()
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}
