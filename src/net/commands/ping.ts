import type { z } from 'zod'
import { baseErrors } from '../../base/errors.ts'
import { defineCommand, duration, integer, printable, type StreamLine } from '../../command/index.ts'
import { netContract } from '../contract.ts'
import { describePath, formatLatency, shortPeer, withoutName } from './words.ts'

/** Exit code when no ping was answered: unavailable. */
const NO_ANSWER_EXIT = 6

/** `warren ping NODE` */
export const pingCommand = defineCommand({
  name: 'peer ping',
  aliases: ['ping'],
  summary: 'Measure the round trip to a node',
  description: 'Says for each round trip which path it went, and when a better one was found.',
  arguments: [{ name: 'node', description: 'name, id or unique beginning of an id', complete: 'node' }],
  options: {
    count: integer({ short: 'c', value: 'N', description: 'how many (4)' }),
    interval: duration({ value: 'TIME', description: 'from one to the next (1s)' }),
    timeout: duration({ value: 'TIME', description: 'how long to wait for each (10s)' }),
  },
  examples: [
    { does: 'four round trips', words: 'ping burrow-2' },
    { does: 'one, waiting two seconds at most', words: 'ping burrow-2 --count 1 --timeout 2s' },
  ],
  run: async function* ({ args, options, context }): AsyncGenerator<StreamLine> {
    if (options.count !== undefined && options.count < 1) {
      throw baseErrors.invalid_value(`--count ${options.count} is no number of pings`, { hint: 'Such as --count 4' })
    }
    const client = await context.connect()
    const body = {
      node: args.node,
      ...(options.count === undefined ? {} : { count: options.count }),
      ...(options.interval === undefined ? {} : { interval_ms: options.interval }),
      ...(options.timeout === undefined ? {} : { timeout_ms: options.timeout }),
    }
    const answered: number[] = []
    let sent = 0
    let before: PingEvent | undefined
    for await (const event of client.stream(netContract.ping, { body }, { signal: context.signal })) {
      sent += 1
      if (event.latency_ms !== null) answered.push(event.latency_ms)
      const who = event.name ?? shortPeer(event.id)
      const path = describePath(event)
      const outcome =
        event.latency_ms === null
          ? printable(withoutName(event.error?.message ?? 'no answer', who))
          : `${formatLatency(event.latency_ms)}  ${path}${noteOf(event, before)}`
      if (event.latency_ms !== null) before = event
      yield { json: event, human: `${printable(who)}  ${outcome}` }
    }
    yield { human: summaryOf(sent, answered), exitCode: answered.length === 0 ? NO_ANSWER_EXIT : 0 }
  },
})

type PingEvent = z.output<(typeof netContract)['ping']['event']>

/** What is new about the path: each reason and each change once. */
function noteOf(event: PingEvent, before: PingEvent | undefined): string {
  if (before?.path === 'relayed' && event.path === 'direct') return '  (a direct path was found)'
  if (before?.path === 'direct' && event.path === 'relayed') return '  (the direct path is lost)'
  if (event.path !== 'relayed' || event.why === null || event.why === before?.why) return ''
  return `  (not direct: ${printable(event.why)})`
}

function summaryOf(sent: number, answered: readonly number[]): string {
  const counts = `${answered.length} of ${sent} answered`
  if (answered.length === 0) return counts
  const average = answered.reduce((sum, latencyMs) => sum + latencyMs, 0) / answered.length
  const [least, mean, most] = [Math.min(...answered), average, Math.max(...answered)].map(formatLatency)
  return `${counts}   least ${least}   mean ${mean}   most ${most}`
}
