import { type AuditEntry, decodeLine, peekSeq, ZERO_HASH } from './entry.ts'
import type { SignedAuditHead } from './head.ts'
import { blocksOf, type ChainEnd, type Snapshot } from './log-files.ts'

/** A log with more faults than this was replaced; a list of them all helps nobody. */
const MAX_PROBLEMS = 20

/** Something that does not fit. `seq` is the number of the entry at that place, or the one that should be there. */
export interface AuditProblem {
  readonly seq: number | null
  readonly file: string | null
  readonly line: number | null
  readonly problem: string
}

/** What a peer keeps of this node's log; or why it did not say. */
export type PeerHeads =
  | { readonly node: string; readonly heads: readonly SignedAuditHead[] }
  | { readonly node: string; readonly failure: string }

/** What became of a peer's heads. */
export interface PeerVerdict {
  readonly node: string
  /** How many it keeps. */
  readonly heads: number
  readonly newest: number | null
  /** False where one of them names an entry that the log does not have. */
  readonly ok: boolean
  readonly problem: string | null
}

/** Whether a log is what was written. */
export interface AuditVerdict {
  /** No problem in the chain, and none of any peer's heads. A peer that does not answer is no problem. */
  readonly ok: boolean
  readonly entries: number
  readonly first: { readonly seq: number; readonly time: string } | null
  readonly last: { readonly seq: number; readonly time: string; readonly hash: string } | null
  /** Bytes of a last line that a crash cut off; the next start of the daemon removes it. */
  readonly torn_bytes: number
  /** In the order of the log; at most 20. */
  readonly problems: readonly AuditProblem[]
  readonly peers: readonly PeerVerdict[]
}

export interface VerifyOptions {
  /** What the node itself signed, or knows. */
  readonly own: readonly ChainEnd[]
  readonly peers: readonly PeerHeads[]
  /** The last entry that the node wrote, where that is known. */
  readonly end?: ChainEnd | undefined
  /** A log that begins with a rotation has at least so many bytes. */
  readonly rotatedBytes: number
  readonly signal?: AbortSignal | undefined
}

/** Recomputes the chain of all files and compares it with the heads. */
export async function verifySnapshot(snapshot: Snapshot, options: VerifyOptions): Promise<AuditVerdict> {
  const { own, peers } = options
  const chain = new ChainCheck([...own, ...peers.flatMap((peer) => ('heads' in peer ? peer.heads : []))])
  let torn = 0
  for (const part of snapshot.parts) {
    chain.enter(part.name)
    let read = 0
    for await (const { lines, next } of blocksOf(part)) {
      options.signal?.throwIfAborted()
      for (const line of lines) chain.take(line)
      read = next
    }
    torn = part.size - read
    if (torn > 0 && part !== snapshot.parts.at(-1)) chain.report('the file ends in the middle of a line')
  }
  chain.checkBeginning(
    snapshot.parts.reduce((sum, { size }) => sum + size, 0),
    options.rotatedBytes,
  )
  chain.checkEnd(options.end)
  for (const head of own) {
    const fault = chain.faultOf(head)
    if (fault !== undefined) chain.problems.push({ seq: head.seq, file: null, line: null, problem: fault })
  }
  const verdicts = peers.map((peer) => verdictOf(peer, chain))
  const { first, last } = chain
  return {
    ok: chain.problems.length === 0 && verdicts.every(({ ok }) => ok),
    entries: chain.entries,
    first: first === undefined ? null : { seq: first.seq, time: first.time },
    last: last === undefined ? null : { seq: last.seq, time: last.time, hash: last.hash },
    torn_bytes: torn,
    problems: chain.problems,
    peers: verdicts,
  }
}

function verdictOf(peer: PeerHeads, chain: ChainCheck): PeerVerdict {
  if ('failure' in peer) return { node: peer.node, heads: 0, newest: null, ok: true, problem: peer.failure }
  const faults = peer.heads.map((head) => chain.faultOf(head)).filter((fault) => fault !== undefined)
  const newest = peer.heads.reduce((max, { seq }) => Math.max(max, seq), 0)
  return {
    node: peer.node,
    heads: peer.heads.length,
    newest: newest === 0 ? null : newest,
    ok: faults.length === 0,
    problem: faults[0] ?? null,
  }
}

/** Goes along the chain line by line. */
class ChainCheck {
  readonly problems: AuditProblem[] = []
  entries = 0
  first: AuditEntry | undefined
  last: AuditEntry | undefined
  #file = ''
  #line = 0
  /** A line that cannot be read has no successor that could be checked against it. */
  #isAfterDamage = false
  /** Entries that heads name, and the hashes found at their numbers. */
  readonly #named: Map<number, Set<string>>
  /** Entries that the log may begin with, by what its rotations say. */
  readonly #beginnings = new Map<number, string>()

  constructor(heads: readonly ChainEnd[]) {
    this.#named = new Map(heads.map(({ seq }) => [seq, new Set()]))
  }

  enter(file: string): void {
    this.#file = file
    this.#line = 0
  }

  take(line: Buffer): void {
    this.#line++
    const entry = decodeLine(line)
    if ('fault' in entry) {
      const seq = this.last === undefined ? (peekSeq(line) ?? 1) : this.last.seq + 1
      if (!this.#isAfterDamage) this.report(`the line was changed or damaged: ${entry.fault}`, seq)
      this.#isAfterDamage = true
      return
    }
    this.#checkPlace(entry)
    this.#isAfterDamage = false
    this.entries++
    this.first ??= entry
    this.last = entry
    this.#named.get(entry.seq)?.add(entry.hash)
    const { what, subject, detail } = entry
    if (what !== 'audit' || subject !== 'rotated') return
    if (typeof detail?.first === 'number' && typeof detail.prev === 'string')
      this.#beginnings.set(detail.first, detail.prev)
  }

  report(problem: string, seq: number | null = null): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ seq, file: this.#file, line: this.#line, problem })
  }

  /** The first entry is number 1, or one that a rotation names and leaves as much behind as rotations do. */
  checkBeginning(bytes: number, rotatedBytes: number): void {
    const { first } = this
    if (first === undefined) return
    const cut = (problem: string): void => {
      this.problems.unshift({ seq: first.seq, file: null, line: null, problem })
    }
    if (first.seq === 1) {
      if (first.prev !== ZERO_HASH) cut('the first entry follows on another')
    } else if (this.#beginnings.get(first.seq) !== first.prev) {
      cut(`the log begins with entry ${first.seq}: those before were cut off, and not by a rotation`)
    } else if (bytes < rotatedBytes) {
      cut(`the log begins with entry ${first.seq}, but is shorter than a rotation leaves it`)
    }
  }

  /** Nothing follows on the last entry that was written. */
  checkEnd(end: ChainEnd | undefined): void {
    const last = this.last?.seq ?? 0
    if (end === undefined || last <= end.seq) return
    const problem = `entries ${end.seq + 1} to ${last} were not written by this node's daemon`
    this.problems.push({ seq: end.seq + 1, file: null, line: null, problem })
  }

  /** Why a head does not fit; undefined where it does, and where its entry was rotated away. */
  faultOf({ seq, hash }: ChainEnd): string | undefined {
    const end = this.last?.seq ?? 0
    const found = this.#named.get(seq)
    if (found?.has(hash) === true) return undefined
    if (found !== undefined && found.size > 0)
      return `entry ${seq} is not the one that this node signed: it was rewritten`
    if (seq > end) return `entry ${seq} was signed, but the log ends with ${end}: it was cut off`
    return this.first !== undefined && seq < this.first.seq ? undefined : `entry ${seq} was signed, but is missing`
  }

  #checkPlace(entry: AuditEntry): void {
    const { last } = this
    if (last === undefined || this.#isAfterDamage) return
    if (entry.seq !== last.seq + 1) {
      const missing = entry.seq > last.seq + 1
      const what = missing ? `entries ${last.seq + 1} to ${entry.seq - 1} are missing` : 'it is out of its place'
      this.report(`after entry ${last.seq} comes ${entry.seq}: ${what}`, last.seq + 1)
    } else if (entry.prev !== last.hash) {
      this.report('it does not follow on the entry before: one of them was rewritten', entry.seq)
    }
  }
}
