import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import type { Check } from '../base/check.ts'
import { checkNetwork, checkPortsFree } from './doctor.ts'
import { addressOf, withNetworks } from './fixtures/networks.ts'
import type { ReachInfo } from './path/types.ts'
import type { Network } from './types.ts'

type State = 'self' | 'up' | 'down'

/** The network as it is, but for what is said about how it can be reached. */
function seen(network: Network, reach: Partial<ReachInfo>, why: string | null = null): Network {
  return Object.create(network, {
    id: { value: network.id },
    events: { value: network.events },
    dht: { value: null },
    addresses: { value: () => network.addresses() },
    connections: { value: () => network.connections() },
    path: { value: (peer: string) => ({ ...network.path(peer), why }) },
    reach: { value: () => ({ ...network.reach(), ...reach }) },
  }) as Network
}

async function examine(network: Network, others: Record<string, State> = {}): Promise<Map<string, Check>> {
  const nodes = Object.entries({ [network.id]: 'self' as State, ...others }).map(([id, state], index) => ({
    id,
    name: `node-${index}`,
    state,
  }))
  const checks = await checkNetwork({ network, listen: ['/ip4/127.0.0.1/tcp/0'], nodes: () => nodes })
  return new Map(checks.map((check) => [check.name, check]))
}

test('two that are connected are well; one that is away is named with why', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    await a.connect(addressOf(b))
    const well = await examine(a, { [b.id]: 'up' })
    expect(well.get('ports')?.outcome).toBe('ok')
    expect(well.get('peers')).toMatchObject({ outcome: 'ok', message: 'connected with 1 of 1, directly with 1' })
    expect(well.get('relays')).toMatchObject({ outcome: 'skipped' })
    const away = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
    const checks = await examine(seen(a, {}, 'the port is closed'), { [b.id]: 'up', [away]: 'down' })
    expect(checks.get('peers')).toMatchObject({
      outcome: 'warning',
      message: expect.stringContaining('node-2 is out of reach: the port is closed'),
      hint: expect.stringContaining('warren ping node-2'),
    })
  })
})

test('a clock is judged by the one in the middle of the others, and within what the round trip tells', async () => {
  await withNetworks([{}], async (network) => {
    const clock = (offsetMs: number, boundMs = 20) => ({ peer: `p${offsetMs}`, offsetMs, boundMs, at: 0 })
    const outcomeOf = async (...clocks: ReturnType<typeof clock>[]) =>
      (await examine(seen(network, { clocks }))).get('clock')
    expect(await outcomeOf()).toMatchObject({ outcome: 'skipped' })
    expect(await outcomeOf(clock(900))).toMatchObject({ outcome: 'ok' })
    expect(await outcomeOf(clock(42_000), clock(42_100), clock(3_600_000))).toMatchObject({
      outcome: 'warning',
      message: '42 s behind the 3 nodes it was compared with',
      hint: expect.stringContaining('timedatectl set-ntp true'),
    })
    expect(await outcomeOf(clock(-90_000))).toMatchObject({
      outcome: 'failed',
      message: expect.stringContaining('ahead of'),
    })
    expect(await outcomeOf(clock(42_000, 41_000))).toMatchObject({ outcome: 'ok' })
  })
})

test('a hard NAT is a warning with what helps, and a relay that keeps no way open is a failure', async () => {
  await withNetworks([{}], async (network) => {
    const at = 0
    const hard = {
      udp: { mapping: 'APDM', filtering: 'APDF' },
      tcp: { mapping: 'APDM' },
      mapped: '192.0.2.1',
      at,
    } as const
    const relay = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
    const checks = await examine(seen(network, { nat: hard, reachability: 'private', relays: [relay] }, 'no answer'))
    expect(checks.get('nat')).toMatchObject({ outcome: 'warning', message: expect.stringContaining('APDM') })
    expect(checks.get('relays')).toMatchObject({ outcome: 'failed', message: expect.stringContaining('no answer') })
    const open = await examine(seen(network, { reachability: 'public', nat: hard, relays: [relay] }))
    expect(open.get('nat')).toMatchObject({ outcome: 'ok' })
    expect(open.get('relays')).toMatchObject({ outcome: 'ok', message: 'needs none' })
  })
})

test('a port that another program has is named', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  try {
    const [check] = await checkPortsFree([`/ip4/127.0.0.1/tcp/${port}`])
    expect(check).toMatchObject({ outcome: 'failed', hint: expect.stringContaining(`:${port}`) })
  } finally {
    other.close()
  }
  expect((await checkPortsFree(['/ip4/127.0.0.1/tcp/0']))[0]).toMatchObject({ outcome: 'ok' })
})
