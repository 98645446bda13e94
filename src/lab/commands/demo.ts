import { defineCommand } from '../../command/index.ts'
import { runDemo, stepText } from '../index.ts'

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'See it all work on this machine, in half a minute',
  description:
    'Brings up a lab of three nodes on this machine, packs and signs a small app, deploys it to all of them, reads its\nlogs, rolls out version 2 in waves and rolls a broken version 3 back. Nothing leaves the machine; nothing needs root.',
  examples: [{ does: 'the whole of it', words: 'demo' }],
  async *run({ context }) {
    const run = { program: context.program, env: context.env, signal: context.signal }
    const demo = { home: context.home, run, onProgress: (text: string) => context.progress.show([`  ${text} …`]) }
    for await (const step of runDemo(demo)) {
      context.progress.clear()
      yield { json: { step: step.step, ms: Math.round(step.ms), ...step.details }, human: stepText(step) }
    }
    context.say('  All of it is still running. Try:  ./warren nodes   ./warren logs hello -f   ./warren lab down')
    yield { exitCode: 0 }
  },
})
