import { type CommandResult, printable, type StreamLine } from '../../command/index.ts'
import { type RolloutPlan, rolloutContract } from '../contract.ts'
import { type DeployWords, requestOf } from './flow.ts'
import { type Packing, withPackage } from './package-file.ts'

/** What a deploy would change; nothing is moved. */
export async function showPlan(path: string, words: DeployWords, packing: Packing): Promise<CommandResult> {
  const { context } = packing
  const client = await context.connect()
  let result: CommandResult = { json: null }
  const asked = withPackage(path, packing, async function* (found): AsyncGenerator<StreamLine> {
    const body = requestOf(found, words)
    const plan = await client.call(rolloutContract.plan, { body }, { signal: context.signal })
    result = { json: plan, human: planTable(plan) }
    yield {}
  })
  for await (const _ of asked);
  return result
}

function planTable(plan: RolloutPlan) {
  const { version } = plan.package
  return {
    columns: [{ title: 'WAVE' }, { title: 'NODE' }, { title: 'STATE' }, { title: 'NOW' }, { title: 'THEN' }],
    rows: plan.nodes.map(({ node, wave, state, current, change }) => [
      String(wave),
      printable(node),
      state,
      printable(current ?? '-'),
      change === 'none' ? 'unchanged' : printable(version),
    ]),
  }
}
