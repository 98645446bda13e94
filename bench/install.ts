/** From a fresh clone with nothing installed to the end of the demo, with npm's cache warm. */
import { join } from 'node:path'
import { type BenchContext, type Measured, must, ROOT, round, run } from './measure.ts'

const TIMEOUT_MS = 600_000

export async function bench({ folder, say }: BenchContext): Promise<Measured> {
  const env = { WARREN_HOME: join(folder, 'home'), npm_config_cache: join(folder, 'npm'), PATH: pathWithoutPackages() }
  say("a first clone, which fills npm's cache")
  const cold = await must([join(await clone(folder, 'first'), 'warren'), '--version'], { env, timeoutMs: TIMEOUT_MS })
  say('a second clone, to the end of the demo')
  const warren = join(await clone(folder, 'second'), 'warren')
  try {
    const setUp = await must([warren, '--version'], { env, timeoutMs: TIMEOUT_MS })
    const demo = await must([warren, 'demo'], { env, timeoutMs: TIMEOUT_MS })
    return {
      figures: {
        total_s: round((setUp.ms + demo.ms) / 1000, 1),
        set_up_s: round(setUp.ms / 1000, 1),
        demo_s: round(demo.ms / 1000, 1),
        set_up_cold_cache_s: round(cold.ms / 1000, 1),
      },
      peers: {},
      goal: { total_s: { at_most: 60 } },
    }
  } finally {
    await run([warren, 'lab', 'down'], { env })
  }
}

/** What is committed, as `git clone` gives it. */
async function clone(folder: string, name: string): Promise<string> {
  await must(['git', 'clone', '--quiet', '--no-hardlinks', ROOT, join(folder, name)])
  return join(folder, name)
}

/** The PATH without what `npm run` and this clone have put on it. */
function pathWithoutPackages(): string {
  const words = (process.env.PATH ?? '').split(':')
  return words.filter((word) => !word.includes('node_modules')).join(':')
}
