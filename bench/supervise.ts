/** Five apps under one daemon: memory of their keepers, and what is left of them after the daemon is killed and started again. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { appProcesses } from '../test/flow/app-processes.ts'
import { type BenchContext, LAUNCHER, type Measured, memoryOf, must, parentOf, round, run } from './measure.ts'

const APPS = ['one', 'two', 'three', 'four', 'five']
/** Around the kill: apps write 20 lines a second. */
const WRITING_MS = 3000
/** Counts, so that a lost or doubled line shows. */
const SCRIPT = '#!/bin/sh\nn=0\nwhile :; do n=$((n + 1)); echo "line $n"; sleep 0.05; done\n'

interface Row {
  readonly app: string
  readonly status: string
  readonly pid: number | null
}

export async function bench({ folder, say }: BenchContext): Promise<Measured> {
  const home = join(folder, 'home')
  const env = { HOME: folder, WARREN_HOME: home }
  const warren = (...words: string[]) => must([LAUNCHER, ...words], { env })
  const list = async (): Promise<Row[]> => JSON.parse((await warren('list', '--json')).out)
  await warren('init', '--name', 'bench')
  await warren('config', 'set', 'net.listen', '["/ip4/127.0.0.1/tcp/0"]')
  await warren('config', 'set', 'net.mdns', 'false')
  await warren('daemon', 'start')
  try {
    say(`deploying ${APPS.length} apps`)
    for (const app of APPS) await warren('deploy', await writeApp(folder, app), '--all')
    const before = await list()
    const keepers = await Promise.all(before.map(async ({ pid }) => memoryOf(await parentOf(pid as number))))
    say('killing the daemon')
    await sleep(WRITING_MS)
    process.kill(Number(await readFile(join(home, 'run', 'daemon.pid'), 'utf8')), 'SIGKILL')
    await sleep(WRITING_MS)
    const { ms } = await warren('daemon', 'start')
    await sleep(WRITING_MS)
    const after = await list()
    const same = before.filter(({ app, pid }) =>
      after.some((row) => row.app === app && row.pid === pid && row.status === 'running'),
    )
    const shells = await Promise.all(APPS.map(async (app) => (await appProcesses(home, app)).map(({ pid }) => pid)))
    const doubled = shells.map((pids, index) => extraOf(pids, before, APPS[index] as string))
    const lost = await Promise.all(APPS.map(async (app) => lostLines((await warren('logs', app, '--json')).out)))
    return {
      figures: {
        keeper_pss_mb: round(keepers.reduce((sum, { pss }) => sum + pss, 0) / keepers.length / 1_000_000, 2),
        daemon_back_ms: round(ms),
        apps_lost: APPS.length - same.length,
        apps_doubled: (await Promise.all(doubled)).reduce((sum, count) => sum + count, 0),
        log_lines_lost: lost.reduce((sum, count) => sum + count, 0),
      },
      peers: {},
      goal: {
        keeper_pss_mb: { at_most: 0.5 },
        apps_lost: { at_most: 0 },
        apps_doubled: { at_most: 0 },
        log_lines_lost: { at_most: 0 },
      },
    }
  } finally {
    await run([LAUNCHER, 'daemon', 'start'], { env })
    await run([LAUNCHER, 'daemon', 'stop', '--apps'], { env })
  }
}

async function writeApp(folder: string, app: string): Promise<string> {
  const source = join(folder, app)
  await mkdir(source)
  await writeFile(join(source, 'manifest.yaml'), `name: ${app}\nversion: 1.0.0\nentrypoint: run\n`)
  await writeFile(join(source, 'run'), SCRIPT, { mode: 0o755 })
  return source
}

/** Processes of an app that are neither the one that was started nor a child of it, such as its `sleep`. */
async function extraOf(pids: readonly number[], rows: readonly Row[], app: string): Promise<number> {
  const own = rows.find((row) => row.app === app)?.pid
  const extra = await Promise.all(
    pids.map(async (pid) => pid !== own && (await parentOf(pid).catch(() => own)) !== own),
  )
  return extra.filter(Boolean).length
}

/** Numbers that are missing or come twice between the first and the last line. */
function lostLines(out: string): number {
  const numbers = out
    .trim()
    .split('\n')
    .map((line) => Number(/^line (\d+)$/.exec((JSON.parse(line) as { line: string }).line)?.[1]))
  return numbers.filter((number, index) => number !== index + 1).length
}
