import { join } from 'node:path'
import { pathExists } from '../../base/files.ts'
import { defineCommand } from '../../command/index.ts'
import { runDemo, stepText } from '../index.ts'
import { firstLabHome } from '../lab-file.ts'

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
    // With a node of one's own in that home, commands go to it unless they name another.
    const own = await pathExists(join(context.home, 'keys', 'node.key'))
    const to = own ? `./warren --home ${(await firstLabHome(context.home)) ?? ''}` : './warren'
    context.say(`  All of it is still running. Try:  ${to} nodes   ${to} logs hello -f   ./warren lab down`)
    yield { exitCode: 0 }
  },
})
