import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { readFileBounded, setAside, writeFileAtomic } from '../base/files.ts'
import type { Logger } from '../base/log.ts'
import { SerialQueue } from '../base/wait.ts'
import { publicKeyOfPeer } from '../identity/index.ts'
import { encodeHead, parseHead, type SignedAuditHead } from './head.ts'

/** The newest of all, whatever their times. */
const RECENT = 100
/** Before those one a day: each fixes everything up to it, so a day tells when something was rewritten. */
const DAYS = 400
const DAY_MS = 86_400_000
/** Heads of a branch that its node left, and times that it did: enough to prove it. */
const MAX_SUPERSEDED = 100
const MAX_REWINDS = 20
/** All of that at 700 bytes a head, with room. */
const MAX_FILE_BYTES = 2 * 1024 * 1024

/** A node's log that became shorter, or another one: two heads that contradict each other, both signed by it. */
export interface Rewind {
  readonly seenMs: number
  readonly before: SignedAuditHead
  readonly after: SignedAuditHead
}

/** What is kept of one node's log. */
export interface KeptHeads {
  readonly node: string
  /** In the order of `seq`. */
  readonly heads: readonly SignedAuditHead[]
  /** Heads beyond the place at which the node's log became another one. */
  readonly superseded: readonly SignedAuditHead[]
  /** Oldest first. */
  readonly rewinds: readonly Rewind[]
}

/** What a head is beside those kept. */
export interface TakenHead {
  readonly kept: KeptHeads
  /** `late`: on its way while a newer one was faster. */
  readonly verdict: 'kept' | 'same' | 'late' | 'rewound'
}

/** The heads with one more. */
export function addHead(kept: KeptHeads, head: SignedAuditHead, nowMs: number): TakenHead {
  const newest = kept.heads.at(-1)
  const same = kept.heads.find(({ seq }) => seq === head.seq)
  const isOther = same !== undefined && same.hash !== head.hash
  if (newest === undefined || head.seq > newest.seq) {
    return { kept: { ...kept, heads: thin([...kept.heads, head]) }, verdict: 'kept' }
  }
  if (!isOther && head.seq === newest.seq) return { kept, verdict: 'same' }
  if (!isOther && head.timeMs <= newest.timeMs) return { kept, verdict: 'late' }
  const rewind = { seenMs: nowMs, before: isOther ? same : newest, after: head }
  return {
    kept: {
      node: kept.node,
      heads: [...kept.heads.filter(({ seq }) => seq < head.seq), head],
      superseded: [...kept.superseded, ...kept.heads.filter(({ seq }) => seq >= head.seq)].slice(-MAX_SUPERSEDED),
      rewinds: [...kept.rewinds, rewind].slice(-MAX_REWINDS),
    },
    verdict: 'rewound',
  }
}

/** The newest ones, and before them the last of each day. */
export function thin(heads: readonly SignedAuditHead[]): SignedAuditHead[] {
  const days = new Map<number, SignedAuditHead>()
  for (const head of heads.slice(0, -RECENT)) days.set(Math.floor(head.timeMs / DAY_MS), head)
  return [...[...days.values()].sort((a, b) => a.seq - b.seq).slice(-DAYS), ...heads.slice(-RECENT)]
}

export interface HeadStoreOptions {
  /** `audit/heads`; one `NODE.json` a node. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Logger
}

/** The heads of other nodes, on disk. Those of nodes that were heard since the last `release` are held in memory. */
export class HeadStore {
  readonly #options: HeadStoreOptions
  readonly #held = new Map<string, KeptHeads>()
  readonly #unsaved = new Set<string>()
  /** Reads and writes of all nodes, one after the other. */
  readonly #work = new SerialQueue()

  constructor(options: HeadStoreOptions) {
    this.#options = options
  }

  /** Keeps a head. One that shows a rewind is written at once; others are with the next `save`. */
  take(head: SignedAuditHead): Promise<TakenHead> {
    return this.#work.run(async () => {
      const taken = addHead(await this.#load(head.node), head, this.#options.clock.now())
      if (taken.verdict === 'kept' || taken.verdict === 'rewound') {
        this.#held.set(head.node, taken.kept)
        this.#unsaved.add(head.node)
      }
      if (taken.verdict === 'rewound') await this.#trySave(head.node)
      return taken
    })
  }

  /** What is kept of a node. */
  get(node: string): Promise<KeptHeads> {
    return this.#work.run(() => this.#load(node))
  }

  /** What is kept of every node, in the order of their ids. */
  async list(): Promise<KeptHeads[]> {
    const names = await readdir(this.#options.folder).catch(() => [])
    const stored = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
    const nodes = [...new Set([...stored, ...this.#held.keys()])].filter((node) => publicKeyOfPeer(node) !== undefined)
    const all: KeptHeads[] = []
    for (const node of nodes.sort()) {
      const isHeld = this.#held.has(node)
      all.push(await this.get(node))
      if (!isHeld) await this.release(node)
    }
    return all
  }

  /** Writes what is not on disk. What cannot be written is tried again the next time. */
  save(): Promise<void> {
    return this.#work.run(async () => {
      for (const node of [...this.#unsaved]) await this.#trySave(node)
    })
  }

  /** Lets a node's heads out of memory, once they are on disk. */
  release(node: string): Promise<void> {
    return this.#work.run(async () => {
      if (this.#unsaved.has(node)) await this.#trySave(node)
      if (!this.#unsaved.has(node)) this.#held.delete(node)
    })
  }

  #pathOf(node: string): string {
    return join(this.#options.folder, `${node}.json`)
  }

  async #trySave(node: string): Promise<void> {
    const kept = this.#held.get(node)
    if (kept === undefined) return
    try {
      await mkdir(this.#options.folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(this.#pathOf(node), encodeKept(kept))
      this.#unsaved.delete(node)
    } catch (error) {
      this.#options.log.warn({ node, err: error }, 'heads of an audit log could not be written')
    }
  }

  async #load(node: string): Promise<KeptHeads> {
    const held = this.#held.get(node)
    if (held !== undefined) return held
    const kept = await this.#read(node)
    this.#held.set(node, kept)
    return kept
  }

  async #read(node: string): Promise<KeptHeads> {
    const { clock, log } = this.#options
    const path = this.#pathOf(node)
    try {
      const bytes = await readFileBounded(path, MAX_FILE_BYTES)
      return bytes === undefined ? emptyHeads(node) : decodeKept(bytes.toString('utf8'), node)
    } catch (error) {
      const aside = await setAside(path, clock.now())
      log.warn({ path, aside, reason: (error as Error).message }, 'damaged heads of an audit log set aside')
      return emptyHeads(node)
    }
  }
}

export function emptyHeads(node: string): KeptHeads {
  return { node, heads: [], superseded: [], rewinds: [] }
}

/** The file of a node's heads. */
export function encodeKept({ node, heads, superseded, rewinds }: KeptHeads): string {
  const lines = (list: readonly SignedAuditHead[]) => list.map(encodeHead)
  const pairs = rewinds.map(({ seenMs, before, after }) => ({
    seen: seenMs,
    before: encodeHead(before),
    after: encodeHead(after),
  }))
  return `${JSON.stringify({ format: 1, node, heads: lines(heads), superseded: lines(superseded), rewinds: pairs })}\n`
}

/** The heads in a file. Fails with `audit_head_invalid` and as JSON does. */
export function decodeKept(text: string, node: string): KeptHeads {
  const { heads, superseded, rewinds } = JSON.parse(text) as Record<string, unknown>
  if (!Array.isArray(heads) || !Array.isArray(superseded) || !Array.isArray(rewinds))
    throw new Error('lists are missing')
  return {
    node,
    heads: heads.map((value) => parseHead(value)),
    superseded: superseded.map((value) => parseHead(value)),
    rewinds: rewinds.map((value) => {
      const { seen, before, after } = value as Record<string, unknown>
      if (typeof seen !== 'number') throw new Error('a rewind has no time')
      return { seenMs: seen, before: parseHead(before), after: parseHead(after) }
    }),
  }
}
