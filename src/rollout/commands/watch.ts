import { type CommandContext, defineCommand, duration, type StreamLine } from '../../command/index.ts'
import { rolloutContract } from '../contract.ts'
import { describeEnd, exitCodeOfEnd, LiveView } from './view.ts'

export const watchCommand = defineCommand({
  name: 'rollout watch',
  summary: 'Follow a rollout to its end',
  description: 'Exit code 0: as asked for; 1: not as asked for; 6: still going on at the time-out.',
  arguments: [{ name: 'rollout', description: 'its id, or a unique start of it' }],
  options: { timeout: duration({ value: 'TIME', description: 'follow at most so long (default 5m)' }) },
  examples: [{ does: 'follow a rollout again', words: 'rollout watch 5k2p' }],
  run: ({ args, options, context }) => watch(args.rollout, options.timeout, context),
})

async function* watch(id: string, timeoutMs: number | undefined, context: CommandContext): AsyncGenerator<StreamLine> {
  const client = await context.connect()
  const view = new LiveView(context, `rollout  ${id}`)
  const query = timeoutMs === undefined ? {} : { query: { timeout_ms: timeoutMs } }
  const events = client.stream(rolloutContract.watch, { params: { id }, ...query }, { signal: context.signal })
  for await (const event of events) {
    view.add(event)
    if (!('done' in event)) yield { json: event }
    else yield { json: event, human: describeEnd(event, { style: context.style }), exitCode: exitCodeOfEnd(event) }
  }
}
