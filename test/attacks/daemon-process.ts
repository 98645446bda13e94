/**
 * The daemon of a home, as `warren daemon run` has it, which tells its parent what memory it holds:
 * `node --expose-gc daemon-process.ts HOME`, with a channel for messages.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startDaemon } from '../../src/daemon/index.ts'

/** Rounds of collecting, with time between them for what only then lets go. */
const ROUNDS = 3
const ROUND_MS = 100

const daemon = await startDaemon({
  home: process.argv[2] as string,
  configFile: undefined,
  env: process.env,
  listen: [],
})
process.on('message', (order: 'memory' | 'stop') => {
  if (order === 'memory') void memory().then((bytes) => process.send?.({ bytes }))
  else void daemon.stop()
})
process.send?.({ ready: true })
await daemon.stopped
process.disconnect()

async function memory(): Promise<number> {
  for (let round = 0; round < ROUNDS; round++) {
    globalThis.gc?.()
    await sleep(ROUND_MS)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
