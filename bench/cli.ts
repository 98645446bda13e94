/** `warren status` and `warren list` from the clone, in a lab of three, beside a bare Node and `pm2 ls`. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchContext, LAUNCHER, type Measured, medianTimes, must, round, run } from './measure.ts'

const RUNS = 21
/** pm2's start is slow and steady. */
const PM2_RUNS = 5
const PM2 = 'pm2@7'

export async function bench(context: BenchContext): Promise<Measured> {
  const { folder, say } = context
  const env = { HOME: folder, WARREN_HOME: join(folder, 'home') }
  const empty = join(folder, 'empty.mjs')
  await writeFile(empty, '')
  say('bringing up a lab of 3')
  await must([LAUNCHER, 'lab', 'up'], { env })
  try {
    const home = join(folder, 'home', 'lab', 'burrow-1')
    say(`${RUNS} runs each`)
    const times = await medianTimes(
      {
        status: [LAUNCHER, '--home', home, 'status'],
        list: [LAUNCHER, '--home', home, 'list'],
        version: [LAUNCHER, '--version'],
        node: [process.execPath, empty],
      },
      RUNS,
      { env },
    )
    return {
      figures: {
        status_ms: round(times.status as number),
        list_ms: round(times.list as number),
        version_ms: round(times.version as number),
      },
      peers: { bare_node_ms: round(times.node as number), pm2_ls_ms: await pm2Time(context) },
      goal: { status_ms: { at_most: 100 }, list_ms: { at_most: 100 } },
    }
  } finally {
    await run([LAUNCHER, 'lab', 'down'], { env })
  }
}

/** Null where npm cannot get it. */
async function pm2Time({ folder, say }: BenchContext): Promise<number | null> {
  const env = { HOME: folder, PM2_HOME: join(folder, 'pm2-home') }
  say(`getting ${PM2} from npm`)
  const installed = await run([
    'npm',
    'install',
    '--prefix',
    folder,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    PM2,
  ])
  if (installed.code !== 0) return null
  const pm2 = join(folder, 'node_modules', 'pm2', 'bin', 'pm2')
  try {
    const times = await medianTimes({ pm2: [process.execPath, pm2, 'ls'] }, PM2_RUNS, { env })
    return round(times.pm2 as number)
  } finally {
    await run([process.execPath, pm2, 'kill'], { env })
  }
}
