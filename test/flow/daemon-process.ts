/** The daemon of a home, which kills itself at a named step of a deploy: `node daemon-process.ts HOME POINT`. */
import { FAULT_POINTS as appPoints } from '../../src/app/index.ts'
import { startDaemon } from '../../src/daemon/index.ts'
import { FAULT_POINTS as turnPoints } from '../../src/rollout/turn.ts'

const [home = '', point = ''] = process.argv.slice(2)
if (![...appPoints, ...turnPoints].some((name) => name === point)) throw new Error(`no step ${point}`)
await startDaemon({
  home,
  configFile: undefined,
  env: process.env,
  listen: [],
  faultPoint: (name) => {
    if (name === point) process.kill(process.pid, 'SIGKILL')
  },
})
process.stdout.write('ready\n')
