import { type CommandContext, printable, type StreamLine } from '../../command/index.ts'
import { type RolloutEnd, rolloutContract } from '../contract.ts'
import { rolloutErrors } from '../errors.ts'
import { longTextOf } from '../short-id.ts'
import { type PackageFile, uploadPackage } from './package-file.ts'
import { describeEnd, exitCodeOfEnd, LiveView } from './view.ts'

/** A job waits to the end by itself; beyond this its own time-out should have ended it. */
const JOB_WAIT_MS = 60 * 60_000

/** What the options of `deploy` and `run` come to. */
export interface DeployWords {
  readonly on: readonly string[]
  readonly all: boolean
  readonly batch: readonly number[]
  readonly maxUnavailable: number | undefined
  readonly rollback: boolean
  readonly acceptStale: boolean
  readonly retries: number | undefined
  readonly retryDelayMs: number | undefined
  readonly app: string | undefined
  readonly timeoutMs: number | undefined
}

/** The request for the API. */
export function requestOf(found: PackageFile, words: DeployWords, sources: readonly string[] = []) {
  const { name, version, digest } = found
  return {
    package: { name, version, digest },
    on: [...words.on],
    all: words.all,
    sources: [...sources],
    batch: [...words.batch],
    rollback: words.rollback,
    accept_stale: words.acceptStale,
    ...(words.app === undefined ? {} : { app: words.app }),
    ...(words.maxUnavailable === undefined ? {} : { max_unavailable: words.maxUnavailable }),
    ...(words.retries === undefined ? {} : { retries: words.retries }),
    ...(words.retryDelayMs === undefined ? {} : { retry_delay_ms: words.retryDelayMs }),
  }
}

/**
 * Uploads the package to the own daemon (and to the node that is spoken to, where that is another; and to one that
 * stays, where the own one ends with the command), has the rollout
 * signed by the own one, submits it, and gives a line for each event. `onEnd` gets the last one. Ctrl-C ends only the
 * following.
 */
export async function* deployLines(
  context: CommandContext,
  { found, words, onEnd }: { found: PackageFile; words: DeployWords; onEnd?: (end: RolloutEnd) => void },
): AsyncGenerator<StreamLine> {
  const startedMs = performance.now()
  const { signal } = context
  const local = await context.connectLocal()
  const spoken = context.remote ? await context.connect() : local
  for (const client of new Set([local, spoken])) {
    const { warnings } = await uploadPackage(client, { ...found, app: words.app }, context)
    for (const warning of warnings) context.say(`warning  ${printable(warning)}`)
  }
  const sources = context.temporary ? [await leaveCopy(context, { ...found, app: words.app })] : []
  const { id, envelope } = await local.call(
    rolloutContract.sign,
    { body: requestOf(found, words, sources) },
    { signal },
  )
  const view = new LiveView(context, `deploy   ${found.name} ${found.version}`)
  const timeoutMs = words.timeoutMs ?? (context.temporary ? JOB_WAIT_MS : undefined)
  const body = { envelope, ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }) }
  try {
    for await (const event of spoken.stream(rolloutContract.submit, { body }, { signal })) {
      view.add(event)
      if (!('done' in event)) yield { json: event }
      else {
        onEnd?.(event)
        const elapsedMs = performance.now() - startedMs
        const human = describeEnd(event, { style: context.style, elapsedMs, moved: view.moved })
        yield { json: event, human, exitCode: exitCodeOfEnd(event) }
      }
    }
  } catch (error) {
    context.progress.clear()
    // A start of the short id that long is unique whatever other rollouts there are.
    if (signal.aborted)
      context.say(`the rollout goes on; follow it: warren rollout watch ${longTextOf(id).slice(0, 8)}`)
    throw error
  }
}

/**
 * Stores the package on a connected node too and gives its id: the targets fetch it from there when the node of this
 * command has gone, and where they cannot reach it. Fails as the upload to the last one that was tried, and with
 * `package_missing` where none is connected.
 */
async function leaveCopy(context: CommandContext, found: PackageFile & { app: string | undefined }): Promise<string> {
  const { memberContract } = await import('../../member/contract.ts')
  const local = await context.connectLocal()
  const nodes = await local.call(memberContract.list, {}, { signal: context.signal })
  let last: unknown = rolloutErrors.package_missing(
    `no node is connected that could keep ${found.name} ${found.version}`,
  )
  for (const { id } of nodes.filter(({ state, waiting }) => state === 'up' && !waiting)) {
    try {
      await uploadPackage(await context.connectTo(id), found, context)
      return id
    } catch (error) {
      context.signal.throwIfAborted()
      last = error
    }
  }
  throw last
}
