import type { Connection } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import { ConnectionTable } from './connections.ts'

/** What the table looks at of a connection that never answers. */
function fakeConnection(id: string, peer: string) {
  const state = { aborted: false }
  const connection = {
    id,
    remotePeer: { toString: () => peer },
    remoteAddr: { toString: () => '/ip4/192.0.2.1/tcp/1' },
    direction: 'inbound',
    direct: true,
    status: 'open',
    streams: [],
    timeline: { open: 0 },
    addEventListener: () => undefined,
    newStream: () => new Promise(() => undefined),
    abort: () => {
      state.aborted = true
    },
  } as unknown as Connection
  return { connection, state }
}

test('a peer that opens connections without end has a few of them, and takes no room from others', () => {
  const table = new ConnectionTable({
    self: 'self',
    clock: new ManualClock(),
    log: silentLogger,
    counters: new Counters(),
    allow: () => ({ allowed: true }),
    agentOf: () => null,
    onConnected: () => undefined,
    onDisconnected: () => undefined,
    onRefused: () => undefined,
    onSuspect: () => undefined,
    onPath: () => undefined,
    describe: () => ({ kind: 'tcp', keyExchange: null }),
  })
  const many = Array.from({ length: 100 }, (_, index) => fakeConnection(`a${index}`, 'greedy'))
  const other = fakeConnection('b', 'other')
  for (const { connection } of [...many, other]) table.add(connection)
  expect(many.filter(({ state }) => !state.aborted)).toHaveLength(32)
  expect(other.state.aborted).toBe(false)
  table.stop()
})
