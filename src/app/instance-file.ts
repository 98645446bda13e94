import { join } from 'node:path'
import { z } from 'zod'
import { readFileBounded, writeFileAtomic } from '../base/files.ts'

/** 50 entries of history and some versions are a few KiB. */
const MAX_FILE_BYTES = 1024 * 1024
/** Older history is dropped. */
const MAX_HISTORY = 50
const FILE_NAME = 'instance.json'

const version = z.string().min(1).max(128)
const reason = z.string().max(4096).nullable()

const versionSchema = z.strictObject({
  version,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  installedAtMs: z.number(),
  /** `good`: has passed a trial. `bad`: has failed its last one. */
  state: z.enum(['installed', 'good', 'bad']),
})

const historySchema = z.strictObject({
  atMs: z.number(),
  kind: z.enum(['deploy', 'switch', 'rollback', 'revert']),
  generation: z.number().int(),
  from: version.nullable(),
  to: version.nullable(),
  ok: z.boolean(),
  reason,
  /** A deploy that was gone back from. */
  undone: z.boolean(),
})

const pendingSchema = z.strictObject({
  kind: z.enum(['deploy', 'switch', 'rollback']),
  from: version.nullable(),
  to: version,
  generation: z.number().int(),
  startedAtMs: z.number(),
})

const instanceSchema = z.strictObject({
  format: z.literal(1),
  instance: z.string().min(1).max(63),
  package: z.string().min(1).max(63),
  desired: z.enum(['running', 'stopped']),
  active: version.nullable(),
  generation: z.number().int(),
  restarts: z.number().int(),
  ports: z.record(z.string(), z.number().int().min(1).max(65_535)),
  versions: z.array(versionSchema).max(1000),
  history: z.array(historySchema).max(MAX_HISTORY),
  /** What was begun and not yet ended. While it is here, `active` is still what ran before. */
  pending: pendingSchema.nullable(),
})

/** The truth about an instance, as `instance.json` has it. Whoever changes it writes it before acting on the change. */
export type InstanceState = z.output<typeof instanceSchema>
export type InstalledVersion = z.output<typeof versionSchema>
export type HistoryEntry = z.output<typeof historySchema>

/** A new instance, with nothing installed. */
export function newInstanceState(instance: string, packageName: string): InstanceState {
  return {
    format: 1,
    instance,
    package: packageName,
    desired: 'stopped',
    active: null,
    generation: 0,
    restarts: 0,
    ports: {},
    versions: [],
    history: [],
    pending: null,
  }
}

/** With one more entry of history. */
export function withHistory(history: readonly HistoryEntry[], entry: HistoryEntry): HistoryEntry[] {
  return [...history, entry].slice(-MAX_HISTORY)
}

/** Path of the file in the instance's folder. */
export function instanceFile(folder: string): string {
  return join(folder, FILE_NAME)
}

/** The state in a folder; undefined where there is none. Throws in words for the log where it is damaged or newer. */
export async function readInstance(folder: string, name: string): Promise<InstanceState | undefined> {
  const bytes = await readFileBounded(instanceFile(folder), MAX_FILE_BYTES)
  if (bytes === undefined) return undefined
  const parsed = instanceSchema.safeParse(JSON.parse(bytes.toString('utf8')))
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error))
  if (parsed.data.instance !== name) throw new Error(`it is of instance "${parsed.data.instance}"`)
  return parsed.data
}

/** Replaces the state on disk. */
export async function writeInstance(folder: string, state: InstanceState): Promise<void> {
  await writeFileAtomic(instanceFile(folder), `${JSON.stringify(state, undefined, 2)}\n`)
}
