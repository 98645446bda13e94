import { FAULT_POINTS } from '../switch.ts'
import { BAD_TRIAL, createTestApps, TEST_TRIAL } from './test-node.ts'

/** Deploys a package and kills itself at a step: `node crash-child.ts HOME DIGEST STEP`. */
const [home = '', digest = '', step = ''] = process.argv.slice(2)
if (!FAULT_POINTS.some((name) => name === step)) throw new Error(`no step ${step}`)
// Steps that only a version comes to which fails.
const isBad = step === 'failed' || step === 'reverted'
const apps = createTestApps(home, {
  faultPoint: (name) => {
    if (name === step) process.kill(process.pid, 'SIGKILL')
  },
})
await apps.start()
await apps.deploy(
  { instance: 'hello', digest, trial: isBad ? BAD_TRIAL : TEST_TRIAL, generation: 2 },
  { signal: new AbortController().signal },
)
