import { expect, test } from 'vitest'
import { ManualClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import type { ConnectionTable } from '../connections.ts'
import type { NetworkInit } from '../types.ts'
import { Reach } from './reach.ts'

interface Known {
  /** Addresses of each relay. */
  readonly relays: Readonly<Record<string, readonly string[]>>
  /** Those that this node's people gave. */
  readonly given?: readonly string[]
  /** Relays that are connected, and where. */
  readonly connected?: Readonly<Record<string, string>>
}

/** Where a node that knows these relays asks how it is seen. */
function serversOf({ relays, given = [], connected = {} }: Known): string[] {
  const table = {
    preferred: (peer: string) => (connected[peer] === undefined ? undefined : { remoteAddr: connected[peer] }),
    list: () => [],
  } as unknown as ConnectionTable
  const reach = new Reach({
    network: { clock: new ManualClock(0), log: silentLogger, counters: new Counters() } as unknown as NetworkInit,
    settings: { force: 'auto', portMapping: false, stunServers: ['stun.example.org:3478'] },
    table,
    handle: () => () => undefined,
    opener: { openOn: () => Promise.reject(new Error('nobody is asked')) },
    addresses: () => [],
    relays: () => Object.keys(relays),
    candidates: (peer) => [...(relays[peer] ?? [])],
    isGiven: (_peer, address) => given.includes(address),
    onChange: () => undefined,
  })
  return reach.stunServers().map(({ host, port }) => `${host}:${port}`)
}

const CONFIGURED = 'stun.example.org:3478'

test('a name is looked up for STUN where the own config gives it, and never where a relay names it', () => {
  const name = '/dns4/internal.example.net/tcp/22'
  expect(serversOf({ relays: { R: [name] } })).toEqual([CONFIGURED])
  expect(serversOf({ relays: { R: [name] }, given: [name] })).toEqual(['internal.example.net:22', CONFIGURED])
  expect(serversOf({ relays: { R: [name] }, connected: { R: `${name}/p2p/R` } })).toEqual([CONFIGURED])
  expect(serversOf({ relays: { R: [name, '/ip4/198.51.100.7/tcp/9'] } })).toEqual(['198.51.100.7:9', CONFIGURED])
})

test('relays that are away, or at private addresses of somebody else, are not waited for', () => {
  const [there, away] = ['/ip4/198.51.100.7/tcp/9010', '/ip4/198.51.100.8/tcp/9010']
  const relays = { A: [away], R: [there] }
  expect(serversOf({ relays, connected: { R: `${there}/p2p/R` } })).toEqual(['198.51.100.7:9010', CONFIGURED])
  expect(serversOf({ relays })).toEqual(['198.51.100.8:9010', '198.51.100.7:9010', CONFIGURED])
  const foreign = '/ip4/10.255.254.3/tcp/9010'
  expect(serversOf({ relays: { R: [foreign] } })).toEqual([CONFIGURED])
  expect(serversOf({ relays: { R: [foreign] }, connected: { R: `${foreign}/p2p/R` } })).toEqual([
    '10.255.254.3:9010',
    CONFIGURED,
  ])
})
