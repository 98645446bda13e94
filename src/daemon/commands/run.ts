import { closeInherited } from '../../base/descriptors.ts'
import { toWarrenError } from '../../base/errors.ts'
import { defineCommand, list } from '../../command/index.ts'
import { tellReady } from '../ready.ts'

/** For the last line of output to be written. */
const EXIT_DELAY_MS = 50

export const runCommand = defineCommand({
  name: 'daemon run',
  summary: 'Run the daemon in the foreground',
  description: 'It logs to standard error and ends on SIGTERM or SIGINT. Apps go on running without it.',
  options: {
    listen: list({ value: 'ADDRESS', description: 'listen here instead of where the configuration says; may repeat' }),
  },
  examples: [
    { does: 'under a supervisor of your own', words: 'daemon run' },
    { does: 'on one address only', words: 'daemon run --listen /ip4/127.0.0.1/tcp/9010' },
  ],
  async run({ options, context }) {
    closeInherited()
    const { startDaemon } = await import('../start.ts')
    try {
      const daemon = await startDaemon({
        home: context.home,
        configFile: context.config,
        env: context.env,
        listen: options.listen,
      })
      tellReady(context.env, { ready: { pid: process.pid } })
      context.signal.addEventListener('abort', () => void daemon.stop(), { once: true })
      if (context.signal.aborted) await daemon.stop()
      await daemon.stopped
      // libp2p leaves a timer of a second behind it; unreferenced, this one ends what is only waiting for that.
      setTimeout(() => process.exit(), EXIT_DELAY_MS).unref()
      return { json: { stopped: true }, exitCode: 0 }
    } catch (thrown) {
      const error = toWarrenError(thrown)
      tellReady(context.env, { error: { ...error.toJSON(), status: error.status } })
      throw thrown
    }
  },
})
