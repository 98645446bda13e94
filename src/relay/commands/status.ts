import type { z } from 'zod'
import { formatBytes } from '../../base/bytes.ts'
import { formatDuration } from '../../base/durations.ts'
import { defineCommand, printable } from '../../command/index.ts'
import { relayContract } from '../contract.ts'

type Status = z.output<typeof relayContract.status.response>
type Server = NonNullable<Status['server']>

/** `warren relay status` */
export const statusCommand = defineCommand({
  name: 'relay status',
  summary: 'Show what this node relays, and which relays hold a way to it open',
  examples: [
    { does: 'the own node', words: 'relay status' },
    { does: 'a relay, from another node', words: '--node vps relay status' },
  ],
  async run({ context }) {
    const client = await context.connect()
    const status = await client.call(relayContract.status, {}, { signal: context.signal })
    const lines = [...serverLines(status.server), ...clientLines(status)]
    return { json: status, human: lines.join('\n') }
  },
})

function serverLines(server: Status['server']): string[] {
  if (server === null) return ['relays     nothing: this node is no relay']
  const { reservations, circuits, limits } = server
  return [
    `relays     for ${reservations.length} of ${limits.max_reservations} nodes, ${circuits.length} of ${limits.max_circuits} connections`,
    `limits     ${limitsOf(limits)}`,
    ...reservations.map(
      ({ node, since, circuits: count }) =>
        `  node     ${nameOf(node)}, since ${agoOf(since)}, ${count} connection${count === 1 ? '' : 's'}`,
    ),
    ...circuits.map(
      ({ from, to, since, bytes }) =>
        `  link     ${nameOf(from)} to ${nameOf(to)}, since ${agoOf(since)}, ${formatBytes(bytes)}`,
    ),
  ]
}

function clientLines({ reservations, relays, reachability }: Status): string[] {
  if (reservations.length === 0) {
    if (reachability === 'public') return ['held by    none: others can dial this node']
    return [
      relays.length === 0
        ? 'held by    none: no relay is known'
        : `held by    none yet, of ${relays.length} relay${relays.length === 1 ? '' : 's'}`,
    ]
  }
  return reservations.map(({ relay, since, rtt_ms, mapped_ip }, index) => {
    const trip = rtt_ms === null ? '' : `, round trip ${Math.max(1, Math.round(rtt_ms))} ms`
    const seen = mapped_ip === null ? '' : `, sees this node at ${printable(mapped_ip)}`
    return `${index === 0 ? 'held by' : '       '}    ${nameOf(relay)}, since ${agoOf(since)}${trip}${seen}`
  })
}

function limitsOf(limits: Server['limits']): string {
  const orNone = (value: number, text: string, none: string): string => (value === 0 ? none : text)
  return [
    `${limits.circuits_per_peer} connections a node`,
    orNone(limits.circuit_bytes, `${formatBytes(limits.circuit_bytes)} each`, 'any number of bytes each'),
    orNone(limits.circuit_time_ms, `for ${formatDuration(limits.circuit_time_ms)}`, 'for any time'),
    orNone(limits.rate_per_peer, `${formatBytes(limits.rate_per_peer)}/s a node`, 'at any rate'),
  ].join(', ')
}

function nameOf({ id, name }: { id: string; name: string | null }): string {
  return printable(name ?? `…${id.slice(-8)}`)
}

function agoOf(time: string): string {
  return formatDuration(Math.max(0, Date.now() - Date.parse(time)))
}
