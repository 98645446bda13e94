import { createHash } from 'node:crypto'

/** Name of this way of cutting; it is part of a package record, and any change to this file's numbers needs a new name. */
export const CHUNKER_ID = 'gear-16-64-256-v1'

/** No chunk but a file's last is shorter: the index stays small. */
export const MIN_CHUNK_BYTES = 16 * 1024
/** From here on a cut is made 16 times as easily, so that sizes gather round it. */
export const NORMAL_CHUNK_BYTES = 64 * 1024
/** No chunk is longer. */
export const MAX_CHUNK_BYTES = 256 * 1024

/** The hash's top 18 bits are zero once in 256 KiB, its top 14 once in 16 KiB; bits leave at the top after 32 bytes. */
const MASK_BEFORE_NORMAL = -1 << (32 - 18)
const MASK_AFTER_NORMAL = -1 << (32 - 14)

let gearTable: Int32Array | undefined

/** Entry i is the first four bytes, big-endian, of SHA-256 over the text `gear-16-64-256-v1:` and the byte i. */
function gear(): Int32Array {
  gearTable ??= Int32Array.from({ length: 256 }, (_, byte) =>
    createHash('sha256').update(`${CHUNKER_ID}:`).update(Uint8Array.of(byte)).digest().readInt32BE(0),
  )
  return gearTable
}

/**
 * Length of the first chunk of `bytes[start, end)`. Needs MAX_CHUNK_BYTES there, or all that the file has left; then
 * the answer depends on the content alone, not on how it was read. The method is FastCDC's (Xia et al., 2016): a gear
 * hash that starts over with each chunk, skips the minimum, and has a mask on either side of the normal size.
 */
export function cutLength(bytes: Uint8Array, start: number, end: number): number {
  const available = end - start
  if (available <= MIN_CHUNK_BYTES) return available
  const table = gear()
  const normal = start + Math.min(NORMAL_CHUNK_BYTES, available)
  const last = start + Math.min(MAX_CHUNK_BYTES, available)
  let hash = 0
  let at = start + MIN_CHUNK_BYTES
  while (at < normal) {
    hash = ((hash << 1) + (table[bytes[at++]!] as number)) | 0
    if ((hash & MASK_BEFORE_NORMAL) === 0) return at - start
  }
  while (at < last) {
    hash = ((hash << 1) + (table[bytes[at++]!] as number)) | 0
    if ((hash & MASK_AFTER_NORMAL) === 0) return at - start
  }
  return last - start
}
