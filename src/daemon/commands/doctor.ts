import type { Check } from '../../base/check.ts'
import { toWarrenError } from '../../base/errors.ts'
import { type CommandContext, defineCommand, printable, type Style } from '../../command/index.ts'
import { daemonContract } from '../contract.ts'

/** Exit code where something failed: the answer is complete, and it is bad. */
const FAILED_EXIT = 1

export const doctorCommand = defineCommand({
  name: 'daemon doctor',
  aliases: ['doctor'],
  summary: 'Look for what is wrong with this node, and say how to mend it',
  description: 'Works without a daemon, too; it then looks at what is on the disk and at the machine.',
  examples: [
    { does: 'look at the own node', words: 'doctor' },
    { does: 'look at another node', words: 'doctor --node burrow-2' },
    { does: 'what is wrong, for a script', words: 'doctor --json' },
  ],
  async run({ context }) {
    const checks = await look(context)
    return {
      json: checks,
      human: checks.map((check) => describe(check, context.style)).join('\n'),
      exitCode: checks.some(({ outcome }) => outcome === 'failed') ? FAILED_EXIT : 0,
    }
  },
})

async function look(context: CommandContext): Promise<Check[]> {
  try {
    const client = await context.connect()
    return await client.call(daemonContract.doctor, {}, { signal: context.signal })
  } catch (thrown) {
    if (context.remote || toWarrenError(thrown).code !== 'daemon_not_running') throw thrown
    const { checkWithoutDaemon } = await import('../doctor.ts')
    return checkWithoutDaemon({ home: context.home, configFile: context.config, env: context.env })
  }
}

function describe({ name, outcome, message, hint }: Check, style: Style): string {
  const mark = { ok: style.green('✓'), warning: style.yellow('!'), failed: style.red('✗'), skipped: style.dim('-') }[
    outcome
  ]
  const line = `${mark} ${name.padEnd(NAME_WIDTH)} ${printable(message)}`
  return hint === undefined || outcome === 'ok' ? line : `${line}\n${' '.repeat(NAME_WIDTH + 3)}${printable(hint)}`
}

/** The longest name of a check. */
const NAME_WIDTH = 12
