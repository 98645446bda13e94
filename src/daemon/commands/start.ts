import { defineCommand } from '../../command/index.ts'
import { runningPid, startInBackground } from './control.ts'

export const startCommand = defineCommand({
  name: 'daemon start',
  summary: 'Start the daemon in the background',
  description: 'Returns when it answers. One that runs already is left as it is. Its log is daemon.log in the home.',
  examples: [
    { does: 'start the node of this user', words: 'daemon start' },
    { does: 'start a node with another home', words: '--home /srv/warren daemon start' },
  ],
  async run({ context }) {
    const running = await runningPid(context)
    const pid = running ?? (await startInBackground(context))
    return {
      json: { pid, started: running === undefined },
      human: running === undefined ? `daemon started (pid ${pid})` : `the daemon runs already (pid ${pid})`,
    }
  },
})
