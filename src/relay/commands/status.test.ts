import { expect, test } from 'vitest'
import type { z } from 'zod'
import type { CommandContext, CommandResult } from '../../command/index.ts'
import type { relayContract } from '../contract.ts'
import { relayCommands } from './index.ts'

type Status = z.output<typeof relayContract.status.response>

async function shown(status: Status): Promise<string[]> {
  const command = await relayCommands.find(({ name }) => name === 'relay status')?.load()
  const context = { connect: async () => ({ call: async () => status }), signal: new AbortController().signal }
  const result = (await command?.run({
    args: {},
    options: {},
    context: context as unknown as CommandContext,
  })) as CommandResult
  expect(result.json).toBe(status)
  return String(result.human).split('\n')
}

const minuteAgo = (): string => new Date(Date.now() - 65_000).toISOString()
const NOTHING: Status = { server: null, reservations: [], relays: [], reachability: 'private' }
const LIMITS = {
  max_reservations: 64,
  max_circuits: 512,
  circuits_per_peer: 16,
  circuit_bytes: 2 * 2 ** 30,
  circuit_time_ms: 7_200_000,
  rate_per_peer: 0,
}

test('a relay shows for whom it relays, and within which limits', async () => {
  const office = { id: '12D3KooWoffice', name: 'office' }
  const server = {
    reservations: [{ node: office, since: minuteAgo(), circuits: 1 }],
    circuits: [{ from: { id: '12D3KooWabcdefgh', name: null }, to: office, since: minuteAgo(), bytes: 1_500_000 }],
    limits: LIMITS,
  }
  expect(await shown({ ...NOTHING, server, reachability: 'public' })).toEqual([
    'relays     for 1 of 64 nodes, 1 of 512 connections',
    'limits     16 connections a node, 2.1 GB each, for 2 h, at any rate',
    '  node     office, since 1 m 5 s, 1 connection',
    '  link     …abcdefgh to office, since 1 m 5 s, 1.5 MB',
    'held by    none: others can dial this node',
  ])
  const open = { ...LIMITS, circuit_bytes: 0, circuit_time_ms: 0, rate_per_peer: 1_000_000 }
  expect((await shown({ ...NOTHING, server: { ...server, limits: open } }))[1]).toBe(
    'limits     16 connections a node, any number of bytes each, for any time, 1 MB/s a node',
  )
})

test('another node shows which relays hold a way to it open, and why none does', async () => {
  const relay = { id: '12D3KooWvps', name: 'vps' }
  const held = { relay, since: minuteAgo(), expires: minuteAgo(), rtt_ms: 17.6, mapped_ip: '192.0.2.9' }
  expect(await shown({ ...NOTHING, reservations: [held, { ...held, rtt_ms: null, mapped_ip: null }] })).toEqual([
    'relays     nothing: this node is no relay',
    'held by    vps, since 1 m 5 s, round trip 18 ms, sees this node at 192.0.2.9',
    '           vps, since 1 m 5 s',
  ])
  expect((await shown(NOTHING))[1]).toBe('held by    none: no relay is known')
  expect((await shown({ ...NOTHING, relays: [relay] }))[1]).toBe('held by    none yet, of 1 relay')
})
