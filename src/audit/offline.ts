import { readFileBounded } from '../base/files.ts'
import { auditErrors } from './errors.ts'
import { decodeHead, MAX_HEAD_BYTES, type SignedAuditHead } from './head.ts'
import { findEnd, MAX_FILE_BYTES, MAX_FILES, openSnapshot, type Snapshot } from './log-files.ts'
import { type ReadAuditOptions, readEntries } from './read.ts'
import { type AuditVerdict, verifySnapshot } from './verify.ts'

/** Where a log's own newest head lies: `audit.head` beside `audit.log`. */
export function ownHeadPath(file: string): string {
  return file.endsWith('.log') ? `${file.slice(0, -'.log'.length)}.head` : `${file}.head`
}

/** The head that a log's node signed last; undefined where there is none. Fails with `audit_head_invalid`. */
export async function readOwnHead(file: string, node?: string): Promise<SignedAuditHead | undefined> {
  const bytes = await readFileBounded(ownHeadPath(file), MAX_HEAD_BYTES)
  if (bytes === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw auditErrors.audit_head_invalid(`${ownHeadPath(file)} is not JSON`)
  }
  return decodeHead(value, node)
}

/** The entries of a log whose daemon need not run. Fails with `audit_not_found`. */
export async function* readOffline(file: string, options: ReadAuditOptions) {
  const { end } = await findEnd(file)
  const snapshot = await openFound(file)
  try {
    yield* readEntries(snapshot, end.seq, options)
  } finally {
    await snapshot.close()
  }
}

/** Verifies a log whose daemon need not run, by its chain and its own head. Fails with `audit_not_found`. */
export async function verifyOffline(file: string, signal?: AbortSignal): Promise<AuditVerdict> {
  const head = await readOwnHead(file)
  const snapshot = await openFound(file)
  try {
    return await verifySnapshot(snapshot, {
      own: head === undefined ? [] : [head],
      peers: [],
      rotatedBytes: MAX_FILE_BYTES * MAX_FILES,
      signal,
    })
  } finally {
    await snapshot.close()
  }
}

async function openFound(file: string): Promise<Snapshot> {
  const snapshot = await openSnapshot(file)
  if (snapshot.parts.length > 0) return snapshot
  throw auditErrors.audit_not_found(`there is no audit log ${file}`, {
    hint: 'Name it: warren audit verify --file FOLDER/audit.log',
  })
}
