import { defineCommand } from '../../command/index.ts'
import { runningPid, startInBackground, stopDaemon } from './control.ts'

export const restartCommand = defineCommand({
  name: 'daemon restart',
  summary: 'Stop the daemon and start it again',
  description: 'Apps go on running; the new daemon takes them over.',
  examples: [{ does: 'after a change of the configuration', words: 'daemon restart' }],
  async run({ context }) {
    if ((await runningPid(context)) !== undefined) await stopDaemon(context, { apps: false })
    const pid = await startInBackground(context)
    return { json: { pid }, human: `daemon restarted (pid ${pid})` }
  },
})
