import type { IndexFile } from './package-index.ts'

/** Tar works in blocks of this size. */
export const TAR_BLOCK_BYTES = 512
const NAME_FIELD_BYTES = 100
/** Eleven octal digits. */
const MAX_SIZE_FIELD = 0o77777777777

/**
 * The header blocks of a regular file: the same for the same file, with no time and no owner (POSIX ustar, and a pax
 * header where a path or size does not fit). The file's bytes and `tarPadding(size)` follow.
 */
export function tarHeader({ path, mode, size }: Pick<IndexFile, 'path' | 'mode' | 'size'>): Buffer {
  const records: string[] = []
  if (Buffer.byteLength(path) > NAME_FIELD_BYTES) records.push(paxRecord('path', path))
  if (size > MAX_SIZE_FIELD) records.push(paxRecord('size', String(size)))
  const header = ustarBlock({ path, mode, size: Math.min(size, MAX_SIZE_FIELD), type: '0' })
  if (records.length === 0) return header
  const pax = Buffer.from(records.join(''))
  const paxHeader = ustarBlock({ path: 'PaxHeader', mode: 0o644, size: pax.length, type: 'x' })
  return Buffer.concat([paxHeader, pax, tarPadding(pax.length), header])
}

/** The zeros that fill the last block of so many bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES)
}

/** The end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * TAR_BLOCK_BYTES)
}

function ustarBlock({ path, mode, size, type }: { path: string; mode: number; size: number; type: string }): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES)
  // What does not fit is cut here and stands whole in the pax header.
  Buffer.from(path).copy(block, 0, 0, NAME_FIELD_BYTES)
  block.write(octal(mode, 8), 100)
  block.write(octal(0, 8), 108)
  block.write(octal(0, 8), 116)
  block.write(octal(size, 12), 124)
  block.write(octal(0, 12), 136)
  block.write(type, 156)
  block.write('ustar\u000000', 257)
  block.write(octal(0, 8), 329)
  block.write(octal(0, 8), 337)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148)
  return block
}

/** The number in as many digits as the field has, less the zero byte that ends it. */
function octal(value: number, fieldBytes: number): string {
  return value.toString(8).padStart(fieldBytes - 1, '0')
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}
