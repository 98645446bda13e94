import { createReadStream } from 'node:fs'
import { readFileBounded } from '../base/files.ts'

const LENGTH_BYTES = 4
/** Longest signature envelope: a record and sixteen signatures. */
const MAX_SIGNATURE_BYTES = 64 * 1024

/**
 * The body of `POST /v1/package` for an archive and its signature file; undefined, or a file that is not there, makes an
 * unsigned upload. Fails while it is read, as the file system does, with `invalid_value` for a signature file that is
 * too long.
 */
export async function* packageUpload(file: string, signatureFile: string | undefined): AsyncGenerator<Uint8Array> {
  const signature = signatureFile === undefined ? undefined : await readFileBounded(signatureFile, MAX_SIGNATURE_BYTES)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(signature?.length ?? 0)
  yield Buffer.concat([length, signature ?? Buffer.alloc(0)])
  yield* createReadStream(file, { highWaterMark: 256 * 1024 })
}
