import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import type { Decision } from '../base/decisions.ts'
import { silentLogger } from '../base/log.ts'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { type AuditOptions, openAudit } from './audit.ts'
import { type AuditEntry, type Draft, decodeLine, encodeLine, ZERO_HASH } from './entry.ts'

/** A folder of its own, and what removes it. */
export async function tempFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-audit-'))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** A node's key and id. */
export function testNode(seed: Uint8Array = randomBytes(32)) {
  const signer = signerFromSeed(seed)
  return { seed, signer, nodeId: peerIdOf(signer.publicKey) }
}

/** What a test audit log is opened with. */
export function auditOptions(folder: string, rest: Partial<AuditOptions> = {}): AuditOptions {
  const { signer, nodeId } = testNode(Buffer.alloc(32, 3))
  return { file: join(folder, 'audit.log'), signer, nodeId, clock: systemClock, log: silentLogger, ...rest }
}

/** The log of a folder with so many entries, stopped again; the first says that it was begun. */
export async function writtenLog(folder: string, count: number, rest: Partial<AuditOptions> = {}): Promise<string> {
  const audit = await openAudit(auditOptions(folder, rest))
  for (let number = 0; number < count; number++) audit.tell(decision(number))
  await audit.stop()
  return join(folder, 'audit.log')
}

/** A change with a number of its own. */
export function decision(number: number): Decision {
  return { what: 'call', outcome: 'done', by: 'local', subject: `POST /v1/app/a${number}/stop`, detail: { number } }
}

/** The lines of a file, without their ends. */
export async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\n').slice(0, -1)
}

/** Replaces a file by these lines. */
export async function writeLines(file: string, lines: readonly string[]): Promise<void> {
  await writeFile(file, lines.map((line) => `${line}\n`).join(''))
}

/** The same entries with a chain that fits, as somebody who knows the format would forge it. */
export function rechain(entries: readonly (Omit<AuditEntry, 'hash' | 'prev' | 'seq'> & object)[]): string[] {
  let prev = ZERO_HASH
  return entries.map(({ time, ...rest }, index) => {
    const draft: Draft = { ...rest, timeMs: Date.parse(time) }
    const { line, hash } = encodeLine(draft, { seq: index + 1, prev })
    prev = hash
    return line
  })
}

/** The entries of lines that must all be whole. */
export function entriesOf(lines: readonly string[]): AuditEntry[] {
  return lines.map((line) => {
    const entry = decodeLine(Buffer.from(line))
    if ('fault' in entry) throw new Error(`${line}: ${entry.fault}`)
    return entry
  })
}

/** The names in a folder, sorted. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort()
}
