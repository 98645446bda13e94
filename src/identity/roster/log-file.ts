import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Clock } from '../../base/clock.ts'
import { pathExists, readFileBounded, setAside, writeFileAtomic } from '../../base/files.ts'
import { identityErrors } from '../errors.ts'
import { MAX_STATEMENT_ENVELOPE_BYTES, MAX_STATEMENTS } from './constants.ts'

/** Name of the file in the roster's folder. */
export const ROSTER_FILE = 'log'
const NEWLINE = 0x0a
/** Eight hex digits of CRC-32 and a space. */
const CHECK_LENGTH = 9
/** A full roster of the longest statements, and those of the root, which are beyond that limit. */
const MAX_LOG_BYTES = (MAX_STATEMENTS + 4000) * (MAX_STATEMENT_ENVELOPE_BYTES + CHECK_LENGTH + 1)

const HINT_RESTORE =
  'Copy the folder roster/ from another node of this network (it holds no secrets), or restore a backup.'

interface OpenOptions {
  readonly clock: Clock
  readonly readOnly: boolean
}

/**
 * The roster's file: one envelope a line, `CRC32 JSON`, the genesis first; appended to, or after a checkpoint replaced
 * whole. What was written is flushed before `append` and `rewrite` return. Holds no open file between calls.
 */
export class RosterLog {
  readonly path: string
  /** Length of what is whole, and of the torn line after it, which the next append cuts off. */
  #length: number
  #tornBytes: number

  private constructor(path: string, { length, tornBytes }: { length: number; tornBytes: number }) {
    this.path = path
    this.#length = length
    this.#tornBytes = tornBytes
  }

  /** Bytes of a line that a crash left unfinished; it is ignored, and was never acted on. */
  get tornBytes(): number {
    return this.#tornBytes
  }

  /** Starts the file with its first line. Fails with `roster_exists`. */
  static async create(folder: string, first: Uint8Array): Promise<RosterLog> {
    const path = join(folder, ROSTER_FILE)
    if (await pathExists(path)) {
      throw identityErrors.roster_exists(`${path} is already there: this home belongs to a network`, {
        hint: 'Use another home (--home FOLDER) for another network.',
      })
    }
    const line = toLine(first)
    await writeFileAtomic(path, line)
    return new RosterLog(path, { length: line.length, tornBytes: 0 })
  }

  /**
   * Reads the file. Fails with `roster_missing`; with `roster_damaged` where a line before the last is damaged, after
   * setting the file aside.
   */
  static async open(folder: string, options: OpenOptions): Promise<{ log: RosterLog; lines: Buffer[] }> {
    const path = join(folder, ROSTER_FILE)
    const bytes = await readFileBounded(path, MAX_LOG_BYTES)
    if (bytes === undefined) throw await missingRoster(folder)
    const { lines, length, damaged } = readLines(bytes)
    const log = new RosterLog(path, { length, tornBytes: bytes.length - length })
    if (damaged || lines.length === 0) await log.giveUp('a line in it does not fit its checksum', options)
    return { log, lines }
  }

  /** Sets the file aside, unless it was opened to be read only, and fails with `roster_damaged`. */
  async giveUp(what: string, { clock, readOnly }: OpenOptions): Promise<never> {
    if (readOnly) {
      throw identityErrors.roster_damaged(`${this.path} is damaged: ${what}`, { hint: HINT_RESTORE })
    }
    const aside = await setAside(this.path, clock.now())
    throw identityErrors.roster_damaged(`${this.path} is damaged: ${what}. It was moved to ${aside}`, {
      hint: HINT_RESTORE,
    })
  }

  /** Appends lines and flushes them. Where that fails, as with a full disk, the file is as before. */
  async append(envelopes: readonly Uint8Array[]): Promise<void> {
    if (envelopes.length === 0) return
    const data = Buffer.concat(envelopes.map(toLine))
    const file = await open(this.path, 'r+')
    try {
      this.#checkOnlyWriter(await file.stat())
      try {
        if (this.#tornBytes > 0) await file.truncate(this.#length)
        // A disk that fills up takes a part, and says no to the rest.
        for (let at = 0; at < data.length; ) {
          at += (await file.write(data, at, data.length - at, this.#length + at)).bytesWritten
        }
        await file.datasync()
      } catch (error) {
        await file.truncate(this.#length).catch(() => undefined)
        this.#tornBytes = Math.max(
          0,
          ((await stat(this.path).catch(() => undefined))?.size ?? this.#length) - this.#length,
        )
        throw error
      }
      this.#length += data.length
      this.#tornBytes = 0
    } finally {
      await file.close()
    }
  }

  /** Replaces the file by these lines, at once: a crash leaves the old or the new one. Where that fails, it is as before. */
  async rewrite(envelopes: readonly Uint8Array[]): Promise<void> {
    this.#checkOnlyWriter(await stat(this.path))
    const data = Buffer.concat(envelopes.map(toLine))
    await writeFileAtomic(this.path, data)
    this.#length = data.length
    this.#tornBytes = 0
  }

  #checkOnlyWriter({ size }: { size: number }): void {
    if (size === this.#length + this.#tornBytes) return
    throw identityErrors.roster_damaged(`${this.path} was changed by another program while this one had it open`, {
      hint: 'Restart this one; only one program may write a home.',
    })
  }
}

async function missingRoster(folder: string): Promise<Error> {
  const names = await readdir(folder).catch(() => [])
  const aside = names.filter((name) => name.startsWith(`${ROSTER_FILE}.damaged-`)).sort()
  const path = join(folder, ROSTER_FILE)
  const last = aside.at(-1)
  if (last === undefined) {
    return identityErrors.roster_missing(`there is no roster at ${path}`, { hint: 'Make a network: warren init' })
  }
  const what = `there is no roster at ${path}; the damaged one was moved to ${join(folder, last)}`
  return identityErrors.roster_missing(what, { hint: HINT_RESTORE })
}

function toLine(json: Uint8Array): Buffer {
  const check = crc32(json).toString(16).padStart(8, '0')
  return Buffer.concat([Buffer.from(`${check} `), json, Buffer.from('\n')])
}

/** The whole lines from the start. Damage with a whole line after it is no torn end: something else happened to the file. */
function readLines(bytes: Buffer): { lines: Buffer[]; length: number; damaged: boolean } {
  const lines: Buffer[] = []
  let length = 0
  let broken = false
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    const json = newline < 0 ? undefined : checkedLine(bytes.subarray(start, end))
    start = end + 1
    if (json === undefined) broken = true
    else if (broken) return { lines, length, damaged: true }
    else {
      lines.push(json)
      length = start
    }
  }
  return { lines, length, damaged: false }
}

function checkedLine(line: Buffer): Buffer | undefined {
  const json = line.subarray(CHECK_LENGTH)
  return line.subarray(0, CHECK_LENGTH).toString('latin1') === `${crc32(json).toString(16).padStart(8, '0')} `
    ? json
    : undefined
}
