import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readFileBounded, writeFileAtomic } from '../../base/files.ts'
import type { Logger } from '../../base/log.ts'
import type { Head } from './evaluate.ts'
import { ROSTER_FILE } from './log-file.ts'
import type { Place } from './statement-set.ts'

/** Name of the mark in the roster's folder. */
const OWN_FILE = 'own'
/** A file id, and the heads of more authors than a network ever has. */
const MAX_OWN_BYTES = 256 * 1024

const mark = z.object({
  inode: z.string(),
  /** Nanoseconds; null where the file system keeps no time of birth. */
  born: z.string().nullable(),
  heads: z.array(z.object({ author: z.string(), seq: z.int(), hash: z.string() })),
})
type Mark = z.output<typeof mark>

/**
 * Tells whether a roster's file is the one that this home wrote last, and not a copy or a restored backup, in which the
 * end of an admin's own log may be missing: to write on it would sign two statements at one place.
 */
export class OwnLog {
  readonly #folder: string
  readonly #log: Logger
  #mark: Mark | undefined
  /** True where the mark is that of the file there, or somebody said that all is here. */
  #isSame: boolean

  private constructor(folder: string, log: Logger, { found, isSame }: { found: Mark | undefined; isSame: boolean }) {
    this.#folder = folder
    this.#log = log
    this.#mark = found
    this.#isSame = isSame
  }

  /** Looks at the mark beside a roster's file. A damaged one is as none. */
  static async open(folder: string, log: Logger): Promise<OwnLog> {
    let found: Mark | undefined
    try {
      const bytes = await readFileBounded(join(folder, OWN_FILE), MAX_OWN_BYTES)
      if (bytes !== undefined) found = mark.parse(JSON.parse(bytes.toString('utf8')))
    } catch (error) {
      log.warn({ err: error, file: join(folder, OWN_FILE) }, 'the mark of the own roster cannot be read')
    }
    const { inode, born } = await identityOf(folder)
    const isSame = found?.inode === inode && (found.born === null || found.born === born)
    return new OwnLog(folder, log, { found, isSame })
  }

  /** True where no entry of this author can be missing here, as far as the mark tells. `holds`: is an entry here? */
  isConfirmed(author: string, { hasEntries, holds }: { hasEntries: boolean; holds: (head: Head) => boolean }): boolean {
    const marked = this.#mark?.heads.find((head) => head.author === author)
    return marked === undefined ? !hasEntries : this.#isSame && holds(marked)
  }

  /** After an entry of an own log was stored. */
  written(author: string, place: Place): Promise<void> {
    const others = (this.#mark?.heads ?? []).filter((head) => head.author !== author)
    return this.#write([...others, { author, ...place }])
  }

  /** After the file was replaced by this home: the new one is its own exactly where the old one was. */
  async replaced(): Promise<void> {
    if (this.#isSame) await this.#write(this.#mark?.heads ?? [])
  }

  /** Marks the file as one in which nothing up to these heads is missing. */
  confirm(heads: readonly Head[]): Promise<void> {
    return this.#write(heads)
  }

  /** A mark that cannot be written is logged: the older one fits the file, or asks for more than is needed. */
  async #write(heads: readonly Head[]): Promise<void> {
    try {
      const next = { ...(await identityOf(this.#folder)), heads: [...heads] }
      this.#mark = next
      this.#isSame = true
      await writeFileAtomic(join(this.#folder, OWN_FILE), `${JSON.stringify(next)}\n`)
    } catch (error) {
      this.#log.warn({ err: error }, 'the mark of the own roster cannot be written')
    }
  }
}

async function identityOf(folder: string): Promise<Pick<Mark, 'inode' | 'born'>> {
  const { ino, birthtimeNs, ctimeNs } = await stat(join(folder, ROSTER_FILE), { bigint: true })
  // Without a time of birth the last change is given in its place, which tells nothing.
  const isKnown = birthtimeNs > 0n && birthtimeNs !== ctimeNs
  return { inode: String(ino), born: isKnown ? String(birthtimeNs) : null }
}
