import { bundleErrors } from './errors.ts'
import { MAX_PATH_BYTES } from './limits.ts'
import { TAR_BLOCK_BYTES } from './tar-write.ts'

/** An entry of an archive. Its bytes must be read before the next entry is asked for; what is left is skipped. */
export interface TarEntry {
  /** As written in the archive, from whichever header names it. Not checked. */
  readonly path: string
  readonly kind: 'file' | 'folder' | 'link' | 'device' | 'other'
  readonly mode: number
  readonly size: number
  /** The bytes in portions of any length; a portion is valid until the next is asked for. */
  read(): AsyncIterable<Uint8Array>
}

/** A long path and a few numbers; nothing else of a pax header is used. */
const MAX_EXTENSION_BYTES = 64 * 1024
/** What a tar may have after its end: GNU tar fills a record, which is 10 KiB by default. */
const MAX_TRAILER_BYTES = 1024 * 1024

/**
 * Reads a tar stream (POSIX ustar with pax headers, GNU long names) strictly: anything that is not understood fails with
 * `archive_damaged` rather than being guessed, so that no two programs see different files in it. Ends after the end
 * mark, having read the source to its end. Nothing is buffered but one header.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const reader = new PortionReader(source)
  try {
    let extension: Extension = {}
    for (;;) {
      const block = await reader.exactly(TAR_BLOCK_BYTES)
      if (block.every((byte) => byte === 0)) break
      const header = parseHeader(block)
      if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
        if (header.size > MAX_EXTENSION_BYTES) throw damaged(`an extended header of ${header.size} bytes`)
        const body = Buffer.from(await reader.exactly(header.size))
        await reader.exactly(paddingOf(header.size))
        if (header.type === 'x') extension = { ...extension, ...parsePax(body) }
        else if (header.type === 'g' && Object.keys(parsePax(body)).length > 0) {
          throw damaged('a global header that renames or resizes files')
        } else if (header.type === 'L') extension = { ...extension, path: textUntilZero(body) }
        continue
      }
      const size = extension.size ?? header.size
      const path = extension.path ?? header.path
      if (Buffer.byteLength(path) > 2 * MAX_PATH_BYTES) throw damaged(`a path of ${Buffer.byteLength(path)} bytes`)
      extension = {}
      yield* entryOf(reader, { ...header, path, size })
    }
    await reader.onlyZeros()
  } finally {
    await reader.close()
  }
}

interface Extension {
  readonly path?: string
  readonly size?: number
}

interface Header {
  readonly path: string
  readonly mode: number
  readonly size: number
  readonly type: string
}

async function* entryOf(reader: PortionReader, header: Header): AsyncGenerator<TarEntry, void, undefined> {
  const kind = kindOf(header)
  // Links and devices have no bytes, whatever their size field says (POSIX pax, "size").
  const size = kind === 'file' || kind === 'other' ? header.size : 0
  let left = size
  yield {
    path: header.path,
    kind,
    mode: header.mode,
    size,
    async *read() {
      while (left > 0) {
        const portion = await reader.some(left)
        left -= portion.length
        yield portion
      }
    },
  }
  while (left > 0) left -= (await reader.some(left)).length
  await reader.exactly(paddingOf(size))
}

function kindOf({ type, path }: Header): TarEntry['kind'] {
  if (type === '5') return 'folder'
  if (type === '0' || type === '\0') return path.endsWith('/') ? 'folder' : 'file'
  if (type === '1' || type === '2') return 'link'
  if (type === '3' || type === '4' || type === '6') return 'device'
  return 'other'
}

function parseHeader(block: Uint8Array): Header {
  const header = Buffer.from(block)
  const stored = parseOctal(header, 148, 8)
  let sum = 8 * 0x20
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) if (at < 148 || at >= 156) sum += header[at]!
  if (sum !== stored) throw damaged('a header whose checksum is wrong')
  const magic = header.toString('latin1', 257, 263)
  if (magic !== 'ustar\0' && magic !== 'ustar ') throw damaged('a header that is neither POSIX nor GNU')
  const name = textUntilZero(header.subarray(0, 100))
  // GNU's own form keeps times where POSIX has the prefix.
  const prefix = magic === 'ustar\0' ? textUntilZero(header.subarray(345, 500)) : ''
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode: parseOctal(header, 100, 8) & 0o7777,
    size: parseSize(header),
    type: String.fromCharCode(header[156]!),
  }
}

function parseOctal(header: Buffer, at: number, length: number): number {
  const text = header.toString('latin1', at, at + length)
  const digits = /^ *([0-7]*)[ \0]*$/.exec(text)?.[1]
  if (digits === undefined) throw damaged('a number that is not octal')
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

/** Octal, or GNU's binary form for what does not fit. */
function parseSize(header: Buffer): number {
  if (header[124] !== 0x80) return parseOctal(header, 124, 12)
  const size = header.readBigUInt64BE(128)
  if (header.readUIntBE(125, 3) !== 0 || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw damaged('a file too large to count')
  return Number(size)
}

function parsePax(body: Buffer): Extension {
  let extension: Extension = {}
  let at = 0
  while (at < body.length) {
    const space = body.indexOf(0x20, at)
    const lengthText = body.toString('latin1', at, space)
    const length = /^[1-9]\d{0,6}$/.test(lengthText) ? Number(lengthText) : 0
    const end = at + length
    const equals = body.indexOf(0x3d, space)
    if (space < 0 || end > body.length || equals < 0 || equals >= end || body[end - 1] !== 0x0a) {
      throw damaged('a pax header that is malformed')
    }
    const key = body.toString('utf8', space + 1, equals)
    const value = body.toString('utf8', equals + 1, end - 1)
    if (key === 'path') extension = { ...extension, path: value }
    if (key === 'size') {
      if (!/^\d{1,15}$/.test(value)) throw damaged('a pax header with a size that is no number')
      extension = { ...extension, size: Number(value) }
    }
    if (key.startsWith('GNU.sparse')) throw damaged('a sparse file, which packages do not have')
    at = end
  }
  return extension
}

function textUntilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

function paddingOf(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
}

function damaged(what: string): Error {
  return bundleErrors.archive_damaged(`the archive is not a tar that Warren reads: ${what}`, {
    hint: 'Make it with: warren pack',
  })
}

/** Takes bytes from a stream in the lengths that a parser wants. */
class PortionReader {
  readonly #source: AsyncIterator<Uint8Array>
  #portion: Uint8Array = new Uint8Array(0)
  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }
  /** 1 to `limit` bytes, without copying. */
  async some(limit: number): Promise<Uint8Array> {
    if (!(await this.#fill())) throw damaged('it is cut short')
    const bytes = this.#portion.subarray(0, limit)
    this.#portion = this.#portion.subarray(bytes.length)
    return bytes
  }
  async exactly(length: number): Promise<Uint8Array> {
    if (this.#portion.length >= length) {
      const bytes = this.#portion.subarray(0, length)
      this.#portion = this.#portion.subarray(length)
      return bytes
    }
    const parts: Uint8Array[] = []
    let missing = length
    while (missing > 0) {
      // A portion may be reused by its source when the next is asked for.
      const part = Buffer.from(await this.some(missing))
      missing -= part.length
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
  /** Reads to the end of the source, which must be zeros, and not many. */
  async onlyZeros(): Promise<void> {
    let trailer = 0
    while (await this.#fill()) {
      trailer += this.#portion.length
      if (trailer > MAX_TRAILER_BYTES) throw damaged('it does not end')
      if (this.#portion.some((byte) => byte !== 0)) throw damaged('bytes follow its end')
      this.#portion = new Uint8Array(0)
    }
  }
  async close(): Promise<void> {
    await this.#source.return?.()
  }
  async #fill(): Promise<boolean> {
    while (this.#portion.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) return false
      this.#portion = next.value
    }
    return true
  }
}
