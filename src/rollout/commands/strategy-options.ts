import { baseErrors } from '../../base/errors.ts'
import { duration, flag, integer, list, text } from '../../command/index.ts'
import type { DeployWords } from './flow.ts'

/** Where a deploy goes. */
export const targetOptions = {
  on: list({ value: 'NODE', description: 'a node, or nodes with these labels (site=home); may repeat' }),
  all: flag({ description: 'every node' }),
}

/** `--key`. */
export const key = text({
  value: 'FILE',
  description: 'sign a folder with this key instead of keys/signing.key of the home',
})
/** `--accept-stale`. */
export const acceptStale = flag({ description: 'also on nodes that have not heard of an admin for long' })

/** How it goes there. */
export const strategyOptions = {
  batch: text({ value: 'N[,N…]', description: 'sizes of the waves, the last one repeats; default all at once' }),
  'max-unavailable': integer({ value: 'N', description: 'nodes that may be away or fail (default 0)' }),
  plan: flag({ description: 'show what would change and move nothing' }),
  timeout: duration({ value: 'TIME', description: 'wait at most so long (default 5m)' }),
  retries: integer({ value: 'N', description: 'further tries of a node that cannot be reached (default 3)' }),
  'retry-delay': duration({ value: 'TIME', description: 'pause between two tries (default 10s)' }),
  'no-rollback': flag({ description: 'keep the version on nodes that are done when others fail' }),
  'accept-stale': acceptStale,
  key,
  as: text({ value: 'APP', description: 'name of the app on the nodes (default: the name of the package)' }),
}

interface StrategyWords {
  readonly batch: string | undefined
  readonly 'max-unavailable': number | undefined
  readonly timeout: number | undefined
  readonly retries: number | undefined
  readonly 'retry-delay': number | undefined
  readonly 'no-rollback': boolean
  readonly 'accept-stale': boolean
  readonly as: string | undefined
}

/** What the options of a command come to. Fails with `usage`. */
export function wordsOf(strategy: StrategyWords, targets: { on: readonly string[]; all: boolean }): DeployWords {
  return {
    on: targets.on,
    all: targets.all,
    batch: parseBatch(strategy.batch),
    maxUnavailable: strategy['max-unavailable'],
    rollback: !strategy['no-rollback'],
    acceptStale: strategy['accept-stale'],
    retries: strategy.retries,
    retryDelayMs: strategy['retry-delay'],
    app: strategy.as,
    timeoutMs: strategy.timeout,
  }
}

/** `1,2` or `3`. Fails with `usage`. */
function parseBatch(text: string | undefined): number[] {
  if (text === undefined) return []
  const sizes = text.split(',').map((part) => (/^\d{1,4}$/.test(part.trim()) ? Number(part) : 0))
  if (sizes.every((size) => size > 0)) return sizes
  throw baseErrors.usage(`--batch ${text}: sizes are whole numbers from 1`, { hint: 'For example: --batch 1,2' })
}
