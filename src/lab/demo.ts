import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatBytes } from '../base/bytes.ts'
import { formatDuration } from '../base/durations.ts'
import { labErrors } from './errors.ts'
import { type HelloVersion, writeHelloApp } from './hello-app.ts'
import { type LabNode, upLab } from './lab.ts'
import { type RunOptions, runJson, runJsonLines } from './program.ts'

const SETTLE_TIMEOUT_MS = 15_000

/** One finished step of the demo, for people and for machines. */
export interface DemoStep {
  readonly step: 'lab' | 'pack' | 'deploy' | 'list' | 'logs'
  readonly text: string
  readonly ms: number
  readonly details: Record<string, unknown>
}

interface DeployLine {
  readonly node?: string
  readonly phase?: string
  readonly bytes?: number | null
  readonly total?: number | null
  /** Bytes that came over the wire. */
  readonly moved?: number
  readonly done?: boolean
  readonly ok?: boolean
  readonly results?: readonly { node: string; ok: boolean; version: string | null; reason?: string }[]
}

export interface Demo {
  readonly home: string
  readonly run: RunOptions
  /** Called while a step is under way. */
  readonly onProgress: (text: string) => void
}

/**
 * The main job, done for real through the program itself: a lab of three nodes, an app packed, signed and sent to all,
 * its logs read, 2.0.0 rolled out in waves, a broken 3.0.0 rolled back. Everything is left running. Fails with
 * `demo_failed` where a step does not end as it should.
 */
export async function* runDemo(demo: Demo): AsyncGenerator<DemoStep> {
  const folder = await mkdtemp(join(tmpdir(), 'warren-demo-'))
  try {
    demo.onProgress('lab      bringing up 3 nodes')
    const nodes = yield* timed(
      () => upLab({ home: demo.home, run: demo.run }, undefined, (text) => demo.onProgress(`lab      ${text}`)),
      (nodes) => ({
        step: 'lab',
        text: `${nodes.length} nodes up and joined`,
        details: { nodes },
      }),
    )
    const home = nodes[0]?.home as string
    yield* release({ ...demo, home }, { folder, version: '1.0.0', batch: [], nodes })
    yield* showLogs({ ...demo, home }, nodes)
    yield* release({ ...demo, home }, { folder, version: '2.0.0', batch: ['--batch', '1,2'], nodes })
    yield* release({ ...demo, home }, { folder, version: '3.0.0', batch: ['--batch', '1,2'], nodes })
    yield* showList({ ...demo, home }, nodes)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Release {
  readonly folder: string
  readonly version: HelloVersion
  readonly batch: readonly string[]
  readonly nodes: readonly LabNode[]
}

async function* release(demo: Demo, { folder, version, batch, nodes }: Release): AsyncGenerator<DemoStep> {
  const source = join(folder, `hello-${version}`)
  await writeHelloApp(source, version)
  demo.onProgress(`pack     hello ${version}`)
  const packed = yield* timed(
    () =>
      runJson<{ file: string; digest: string; size: number; files?: number; signer?: string }>(
        ['--home', demo.home, 'pack', source, '--output', folder],
        demo.run,
      ),
    ({ digest, size }) => ({
      step: 'pack',
      text: `hello ${version}  3 files  ${formatBytes(size)}  ${digest.slice(0, 12)}  signed`,
      details: { version, digest, size },
    }),
  )
  const started = performance.now()
  const last = await deploy(demo, { file: packed.file, version, batch })
  const results = last.results ?? []
  const good = version !== '3.0.0'
  if (last.ok !== good)
    throw labErrors.demo_failed(`hello ${version} ended ${last.ok ? 'well' : 'badly'} and should not have`, {
      details: { results },
    })
  const untouched = results.filter(({ ok, reason }) => !ok && !isFailure(reason)).map(({ node }) => node)
  const failed = results.find(({ ok, reason }) => !ok && isFailure(reason))
  const waves = batch.length === 0 ? '' : ', 2 waves'
  yield {
    step: 'deploy',
    ms: performance.now() - started,
    text: good
      ? `hello ${version} → ${nodes.length} nodes${moved(last)}${waves}  ${results.map(({ node }) => `● ${node} healthy`).join('  ')}`
      : `hello ${version} → wave 1 of 2  ✗ ${failed?.node}: ${failed?.reason}\n${' '.repeat(11)}back on 2.0.0 there; ${untouched.join(' and ')} never left it`,
    details: { version, ok: last.ok, results },
  }
}

interface FinishedDeploy extends DeployLine {
  readonly bytesMoved: number
  readonly bytesTotal: number
}

async function deploy(
  demo: Demo,
  { file, version, batch }: { file: string; version: string; batch: readonly string[] },
): Promise<FinishedDeploy> {
  const phases = new Map<string, DeployLine>()
  const moved = new Map<string, { bytes: number; total: number }>()
  const words = ['--home', demo.home, 'deploy', file, '--all', ...batch]
  for await (const line of runJsonLines<DeployLine>(words, demo.run)) {
    if (line.done === true) {
      const sums = [...moved.values()]
      return {
        ...line,
        bytesMoved: sums.reduce((sum, { bytes }) => sum + bytes, 0),
        bytesTotal: sums.reduce((sum, { total }) => sum + total, 0),
      }
    }
    if (line.node === undefined) continue
    phases.set(line.node, line)
    if (line.total != null && line.total > 0) {
      moved.set(line.node, { bytes: Math.max(line.moved ?? 0, moved.get(line.node)?.bytes ?? 0), total: line.total })
    }
    demo.onProgress(
      `deploy   hello ${version}  ${[...phases.values()].map(({ node, phase }) => `${node} ${phase}`).join('  ')}`,
    )
  }
  throw labErrors.demo_failed(`the deploy of hello ${version} ended without a result`)
}

function moved({ bytesMoved, bytesTotal }: FinishedDeploy): string {
  return bytesTotal === 0 ? '' : `  moved ${formatBytes(bytesMoved)} of ${formatBytes(bytesTotal)}`
}

function isFailure(reason: string | undefined): boolean {
  return reason !== undefined && /exit code|unhealthy|signal/.test(reason)
}

async function* showLogs(demo: Demo, nodes: readonly LabNode[]): AsyncGenerator<DemoStep> {
  const started = performance.now()
  const node = nodes.at(-2) ?? nodes[0]
  const lines: { node: string; line: string }[] = []
  const words = ['--home', demo.home, 'logs', 'hello', '--on', node?.name as string, '--tail', '3']
  for await (const line of runJsonLines<{ node: string; line: string }>(words, demo.run)) lines.push(line)
  const last = lines.at(-1)
  if (last === undefined) throw labErrors.demo_failed(`hello wrote no log on ${node?.name}`)
  yield { step: 'logs', ms: performance.now() - started, text: `${last.node} │ ${last.line}`, details: { lines } }
}

interface ListRow {
  readonly node: string
  readonly app: string
  readonly version: string
  readonly health: string
  readonly ports: Record<string, number>
}

async function* showList(demo: Demo, nodes: readonly LabNode[]): AsyncGenerator<DemoStep> {
  const started = performance.now()
  let rows: ListRow[] = []
  const isGood = () =>
    rows.length === nodes.length && rows.every(({ version, health }) => version === '2.0.0' && health === 'healthy')
  // What was rolled back a moment ago shows as healthy after its first probe.
  for (const deadline = started + SETTLE_TIMEOUT_MS; !isGood() && performance.now() < deadline; ) {
    rows = (await runJson<ListRow[]>(['--home', demo.home, 'list'], demo.run)).filter(({ app }) => app === 'hello')
  }
  if (!isGood())
    throw labErrors.demo_failed('hello 2.0.0 is not healthy on every node in the end', { details: { rows } })
  const places = rows.map(({ node, ports }) => `${node} http://127.0.0.1:${Object.values(ports)[0]}`)
  yield {
    step: 'list',
    ms: performance.now() - started,
    text: `hello 2.0.0 runs on ${places.join('  ')}`,
    details: { rows },
  }
}

async function* timed<T>(
  work: () => Promise<T>,
  describe: (result: T) => Omit<DemoStep, 'ms'>,
): AsyncGenerator<DemoStep, T> {
  const started = performance.now()
  const result = await work()
  yield { ...describe(result), ms: performance.now() - started }
  return result
}

/** A line of the demo, as a person sees it. */
export function stepText({ step, text, ms }: DemoStep): string {
  const [first, ...rest] = text.split('\n')
  return [`  ${step.padEnd(8)} ${first}   ${formatDuration(ms)}`, ...rest].join('\n')
}
