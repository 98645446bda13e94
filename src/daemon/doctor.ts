import { checkPlacement } from '../app/index.ts'
import { type Check, lookAt } from '../base/check.ts'
import type { Clock } from '../base/clock.ts'
import { type ConfigValues, loadConfig } from '../config/index.ts'
import { checkIdentity } from '../identity/index.ts'
import { checkMembership } from '../member/index.ts'
import { checkNetwork, checkPortsFree } from '../net/index.ts'
import { checkMachine } from '../ops/index.ts'
import type { Features } from './features.ts'
import { requireNode } from './home.ts'
import { sections } from './sections.ts'

type Config = ConfigValues<typeof sections>

interface RunningNode extends Features {
  readonly config: Config
  readonly clock: Clock
  /** Sentences about what a person should look at, as the status shows them. */
  readonly problems: () => readonly string[]
}

/** Looks at a node that runs: who it is, its machine, and its ways to the others. Takes at most a few seconds. */
export async function checkNode(node: RunningNode): Promise<Check[]> {
  const { config, network, roster, directory, standing, apps } = node
  const found = await Promise.all([
    checkIdentity({ keysFolder: config.storage.keys_dir, networkKey: config.net.network_key, roster }),
    checkMembership({ roster, standing, clock: node.clock, maxStaleMs: config.trust.max_stale }),
    checkNetwork({ network, listen: config.net.listen, nodes: () => directory.nodes() }),
    checkMachine(config.storage.data_dir),
    checkPlacement(apps.placement),
    [lookAt('problems', () => summaryOf(node.problems()))],
  ])
  return Promise.all(found.flat())
}

/** Looks at a home whose daemon does not run: its keys, its config, its ports, and the machine. */
export async function checkWithoutDaemon(options: {
  readonly home: string
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}): Promise<Check[]> {
  const { home, configFile, env } = options
  let config: Config | undefined
  const configured = await lookAt('config', async () => {
    await requireNode(home, configFile)
    const loaded = await loadConfig({ sections, home, env, ...(configFile === undefined ? {} : { file: configFile }) })
    config = loaded.values
    const [warning] = loaded.warnings
    if (warning !== undefined) return { outcome: 'warning', message: warning }
    return { outcome: 'ok', message: `read for ${home}` }
  })
  const daemon: Check = {
    name: 'daemon',
    outcome: 'failed',
    message: `no daemon answers in ${home}`,
    hint: 'warren daemon start    Its last words are in daemon.log in the home.',
  }
  // Without a node there is no daemon to start: that comes first.
  if (config === undefined) return [configured, daemon]
  return [
    daemon,
    configured,
    ...(await checkIdentity({ keysFolder: config.storage.keys_dir, networkKey: config.net.network_key })),
    ...(await checkPortsFree(config.net.listen)),
    ...(await checkMachine(home)),
    ...(await checkPlacement()),
  ]
}

function summaryOf(problems: readonly string[]) {
  const [first, ...others] = problems
  if (first === undefined) return { outcome: 'ok' as const, message: 'the daemon knows of none' }
  const more = others.length === 0 ? '' : `, and ${others.length} more`
  return { outcome: 'warning' as const, message: `${first}${more}`, hint: 'All of them: warren status' }
}
