/** Daemons that are killed at moments of a rollout over three nodes, and brought back. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestLab, settledRollout, type TestLab } from './fleet-of.ts'

let lab: TestLab
const children = new Set<ChildProcess>()
beforeAll(async () => {
  lab = await createTestLab(3)
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await lab?.warren.cleanup()
})

/** The same numbers at every run (a linear congruential generator, Numerical Recipes). */
function createDice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

/** Deploys to all nodes, and kills the victim's daemon after so many lines of progress. */
async function deployAndKill(file: string, { victim, lines }: { victim: number; lines: number }): Promise<void> {
  const pid = await lab.pid(victim)
  const words = ['--home', lab.home(0), 'deploy', file, '--all', '--batch', '1,2', '--json']
  const child = lab.warren.spawn(...words)
  children.add(child)
  const closed = once(child, 'close')
  child.stderr.resume()
  let seen = 0
  for await (const _ of createInterface({ input: child.stdout })) if (++seen === lines) process.kill(pid, 'SIGKILL')
  await closed
  if (seen < lines) process.kill(pid, 'SIGKILL')
}

test('daemons killed at moments of a rollout over three nodes leave each on one version, and the rollout ends', async () => {
  const dice = createDice(20_260_301)
  const app = 'fleet'
  await lab.must(0, 'deploy', await lab.pack(app, '1.0.0'), '--all', '--json')
  // Each is the victim once.
  for (let round = 1; round <= 3; round++) {
    const kill = { victim: round % 3, lines: 1 + dice(14) }
    const deploying = deployAndKill(await lab.pack(app, `1.${round}.0`), kill)
    // The daemon comes back while the others go on, as a supervisor would bring it.
    const restarting = expect
      .poll(async () => (await lab.run(kill.victim, 'status')).code, { timeout: 60_000, interval: 50 })
      .not.toBe(0)
      .then(() => lab.must(kill.victim, 'daemon', 'start', '--json'))
    await Promise.all([deploying, restarting])
    const states = [
      await settledRollout(lab, 0, app),
      await settledRollout(lab, 1, app),
      await settledRollout(lab, 2, app),
    ]
    const versions = []
    for (const index of [0, 1, 2]) versions.push(await lab.requireOneRuns(index, app))
    // Whoever was killed takes its turn again, so that every round ends as it was meant to.
    expect({ round, kill, states, versions }).toEqual({
      round,
      kill,
      states: Array(3).fill('done'),
      versions: Array(3).fill(`1.${round}.0`),
    })
  }
})
