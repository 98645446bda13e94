import { type FileHandle, open } from 'node:fs/promises'
import type { SourceFile } from './collect.ts'
import { bundleErrors } from './errors.ts'

const PORTION_BYTES = 1024 * 1024
/** Enough to keep the disk busy while the portion before is hashed; at most 8 MiB. */
const READ_AHEAD = 8

/** Some bytes of a file of a list, in order. */
export interface Portion {
  readonly file: SourceFile
  /** Valid until the next portion is asked for. */
  readonly bytes: Uint8Array
  readonly isFirst: boolean
  readonly isLast: boolean
}

interface Job {
  readonly file: SourceFile
  readonly offset: number
  readonly length: number
}

/**
 * The bytes of all files one after another, read ahead; an empty file gives one empty portion. Fails with `file_changed`
 * where a file is no longer what it was when it was listed. Every file it opened is closed when it ends, however it ends.
 */
export async function* readFiles(
  files: readonly SourceFile[],
  signal?: AbortSignal,
): AsyncGenerator<Portion, void, undefined> {
  const jobs = listJobs(files)
  const queue: { job: Job; bytes: Promise<Buffer> }[] = []
  const free: Buffer[] = []
  const handles = new Map<SourceFile, Promise<FileHandle>>()
  try {
    for (;;) {
      while (queue.length < READ_AHEAD) {
        const next = jobs.next()
        if (next.done === true) break
        const bytes = runJob(next.value, handles, free)
        // A failure is met when its turn comes.
        bytes.catch(() => undefined)
        queue.push({ job: next.value, bytes })
      }
      const first = queue.shift()
      if (first === undefined) return
      const { file, offset, length } = first.job
      const bytes = await first.bytes
      signal?.throwIfAborted()
      const isLast = offset + length === file.size
      if (isLast) await closeUnchanged(file, handles)
      yield { file, bytes, isFirst: offset === 0, isLast }
      if (bytes.length === PORTION_BYTES && typeof file.from === 'string') free.push(bytes)
    }
  } finally {
    await Promise.allSettled(queue.map(({ bytes }) => bytes))
    for (const handle of handles.values()) await handle.then((opened) => opened.close()).catch(() => undefined)
  }
}

function* listJobs(files: readonly SourceFile[]): Generator<Job, void, undefined> {
  for (const file of files) {
    let offset = 0
    do {
      const length = Math.min(PORTION_BYTES, file.size - offset)
      yield { file, offset, length }
      offset += length
    } while (offset < file.size)
  }
}

async function runJob(
  { file, offset, length }: Job,
  handles: Map<SourceFile, Promise<FileHandle>>,
  free: Buffer[],
): Promise<Buffer> {
  if (typeof file.from !== 'string') return Buffer.from(file.from.subarray(offset, offset + length))
  let opening = handles.get(file)
  if (opening === undefined) {
    opening = open(file.from, 'r')
    handles.set(file, opening)
  }
  const handle = await opening
  const buffer = length === PORTION_BYTES ? (free.pop() ?? Buffer.allocUnsafeSlow(length)) : Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) throw fileChanged(file)
    filled += bytesRead
  }
  return buffer
}

async function closeUnchanged(file: SourceFile, handles: Map<SourceFile, Promise<FileHandle>>): Promise<void> {
  const handle = await handles.get(file)
  if (handle === undefined) return
  handles.delete(file)
  try {
    if ((await handle.stat()).size !== file.size) throw fileChanged(file)
  } finally {
    await handle.close()
  }
}

/** The error for a file that is no longer what it was when packing began. */
export function fileChanged(file: SourceFile): Error {
  return bundleErrors.file_changed(`"${file.path}" changed while it was being packed`, {
    hint: 'Stop what writes to the folder, then pack again.',
  })
}
