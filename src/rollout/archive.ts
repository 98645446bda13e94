import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileBounded, setAside, writeFileAtomic } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../identity/index.ts'
import { DOCUMENT_TYPE, MAX_DOCUMENT_BYTES, readDocument, type SignedDocument } from './document.ts'
import { EVIDENCE_TYPE, MAX_EVIDENCE_BYTES, readEvidence, type SignedEvidence } from './evidence.ts'
import { HALT_TYPE, MAX_HALT_BYTES, readHalt, type SignedHalt } from './halt.ts'

/** An envelope is its payload in base64, its type and some signatures. */
const ENVELOPE_OVERHEAD = 16 * 1024
/** Written when this node's own turn begins; its presence is the whole message. */
const TURN_FILE = 'turn.json'

/** What is on disk of one rollout. */
export interface ArchivedRollout {
  readonly signed: SignedDocument
  readonly evidence: readonly SignedEvidence[]
  readonly halts: readonly SignedHalt[]
  readonly begun: boolean
}

/** Rollouts on disk: `rollouts/ID/{document.json, evidence/NODE.json, halts/NODE.json, turn.json}`, the truth. */
export interface Archive {
  /** Everything that can be read. What cannot is set aside under a new name, named in the log, and left out. */
  load(): Promise<ArchivedRollout[]>
  writeDocument(signed: SignedDocument): Promise<void>
  writeEvidence(signed: SignedEvidence): Promise<void>
  writeHalt(signed: SignedHalt): Promise<void>
  /** Notes that this node's turn begins; flushed when it returns. */
  writeTurn(id: string, nowMs: number): Promise<void>
  remove(id: string): Promise<void>
}

/** The archive in `folder`; every write is flushed and replaces the old file whole. Fails as the file system does. */
export function createArchive({ folder, log }: { folder: string; log: Logger }): Archive {
  const write = (path: string, envelope: Envelope): Promise<void> => writeFileAtomic(path, encodeEnvelope(envelope))
  return {
    load: () => loadAll(folder, log),
    writeDocument: (signed) => write(join(folder, signed.id, 'document.json'), signed.envelope),
    writeEvidence: ({ evidence, envelope }) =>
      write(join(folder, evidence.document, 'evidence', `${evidence.node}.json`), envelope),
    writeHalt: ({ halt, envelope }) => write(join(folder, halt.document, 'halts', `${halt.by}.json`), envelope),
    writeTurn: (id, nowMs) =>
      writeFileAtomic(join(folder, id, TURN_FILE), `{"format":1,"begun":"${new Date(nowMs).toISOString()}"}\n`),
    remove: (id) => rm(join(folder, id), { recursive: true, force: true }),
  }
}

async function loadAll(folder: string, log: Logger): Promise<ArchivedRollout[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found: ArchivedRollout[] = []
  for (const name of await readdir(folder)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue
    const one = await loadOne(join(folder, name), name, log)
    if (one !== undefined) found.push(one)
  }
  return found
}

async function loadOne(folder: string, id: string, log: Logger): Promise<ArchivedRollout | undefined> {
  const signed = await readOne(join(folder, 'document.json'), log, (bytes) => {
    const document = readDocument(
      decodeEnvelope(bytes, { payloadType: DOCUMENT_TYPE, maxBytes: 2 * MAX_DOCUMENT_BYTES + ENVELOPE_OVERHEAD }),
    )
    if (document.id !== id) throw new Error(`the document in it is ${document.id}`)
    return document
  })
  if (signed === undefined) return undefined
  const evidence = await readEach(join(folder, 'evidence'), log, (bytes) => {
    const read = readEvidence(
      decodeEnvelope(bytes, { payloadType: EVIDENCE_TYPE, maxBytes: 2 * MAX_EVIDENCE_BYTES + ENVELOPE_OVERHEAD }),
    )
    if (read.evidence.document !== id) throw new Error(`it speaks of rollout ${read.evidence.document}`)
    return read
  })
  const halts = await readEach(join(folder, 'halts'), log, (bytes) => {
    const read = readHalt(
      decodeEnvelope(bytes, { payloadType: HALT_TYPE, maxBytes: 2 * MAX_HALT_BYTES + ENVELOPE_OVERHEAD }),
    )
    if (read.halt.document !== id) throw new Error(`it speaks of rollout ${read.halt.document}`)
    return read
  })
  const begun = (await readFileBounded(join(folder, TURN_FILE), ENVELOPE_OVERHEAD)) !== undefined
  return { signed, evidence, halts, begun }
}

async function readEach<T>(folder: string, log: Logger, parse: (bytes: Buffer) => T): Promise<T[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const all: T[] = []
  for (const name of names) {
    if (!/^[1-9A-HJ-NP-Za-km-z]+\.json$/.test(name)) continue
    const one = await readOne(join(folder, name), log, parse)
    if (one !== undefined) all.push(one)
  }
  return all
}

async function readOne<T>(path: string, log: Logger, parse: (bytes: Buffer) => T): Promise<T | undefined> {
  const bytes = await readFileBounded(path, 2 * MAX_DOCUMENT_BYTES + ENVELOPE_OVERHEAD)
  if (bytes === undefined) return undefined
  try {
    return parse(bytes)
  } catch (error) {
    const aside = await setAside(path, Date.now())
    log.warn({ path, aside, reason: (error as Error).message }, 'damaged rollout file set aside')
    return undefined
  }
}
