import { closeInherited } from '../../base/descriptors.ts'
import { defineCommand, list, text } from '../../command/index.ts'

/** For the last line of output to be written. */
const EXIT_DELAY_MS = 50

/** `warren relay serve` */
export const serveCommand = defineCommand({
  name: 'relay serve',
  summary: 'Run this node in the foreground as a relay',
  description:
    'The daemon of this home, with relay.serve set to always: whatever its role and however it is reached, it relays for its network. It logs to standard error and ends on SIGTERM or SIGINT.',
  options: {
    listen: list({ value: 'ADDRESS', description: 'listen here instead of where the configuration says; may repeat' }),
    health: text({ value: 'HOST:PORT', description: 'a page for monitors there, instead of relay.health' }),
  },
  examples: [
    { does: 'on a small server', words: 'relay serve' },
    { does: 'with a page for a monitor on the same machine', words: 'relay serve --health 127.0.0.1:9091' },
  ],
  async run({ options, context }) {
    closeInherited()
    const { startDaemon } = await import('../../daemon/index.ts')
    const daemon = await startDaemon({
      home: context.home,
      configFile: context.config,
      env: {
        ...context.env,
        WARREN_RELAY_SERVE: 'always',
        ...(options.health === undefined ? {} : { WARREN_RELAY_HEALTH: options.health }),
      },
      listen: options.listen,
    })
    context.signal.addEventListener('abort', () => void daemon.stop(), { once: true })
    if (context.signal.aborted) await daemon.stop()
    await daemon.stopped
    // libp2p leaves a timer of a second behind it; unreferenced, this one ends what is only waiting for that.
    setTimeout(() => process.exit(), EXIT_DELAY_MS).unref()
    return { json: { stopped: true }, exitCode: 0 }
  },
})
