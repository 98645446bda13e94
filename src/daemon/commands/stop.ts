import { defineCommand, flag } from '../../command/index.ts'
import { runningPid, stopDaemon } from './control.ts'

export const stopCommand = defineCommand({
  name: 'daemon stop',
  summary: 'Stop the daemon; apps go on running',
  description: 'Returns when it has ended. Where none runs there is nothing to do.',
  options: { apps: flag({ description: 'stop all apps of this node first' }) },
  examples: [
    { does: 'stop the daemon, keep the apps', words: 'daemon stop' },
    { does: 'stop everything on this node', words: 'daemon stop --apps' },
  ],
  async run({ options, context }) {
    if (!options.apps && (await runningPid(context)) === undefined) {
      return { json: { pid: null, apps_stopped: [] }, human: 'no daemon runs here' }
    }
    const stopped = await stopDaemon(context, options)
    const apps = stopped.apps_stopped.length === 0 ? '' : `; apps stopped: ${stopped.apps_stopped.join(', ')}`
    return { json: stopped, human: `daemon stopped (pid ${stopped.pid})${apps}` }
  },
})
