import { afterEach, expect, test } from 'vitest'
import { addressOf, testNetwork } from '../fixtures/networks.ts'
import { readMessage, sendMessage } from '../frames.ts'
import type { Network, NetworkInit } from '../types.ts'
import { RELAY_PROTOCOL, STOP_PROTOCOL } from './constants.ts'
import { LIMITS } from './fixtures/relays.ts'

const networks: Network[] = []
afterEach(async () => {
  await Promise.all(networks.splice(0).map((network) => network.stop()))
})

type RelaySettings = NonNullable<NetworkInit['relay']>

async function start(relay: Partial<RelaySettings> | undefined, init: Partial<NetworkInit> = {}): Promise<Network> {
  const settings: RelaySettings = {
    servers: [],
    serve: 'never',
    limits: LIMITS,
    mayUse: () => true,
    isRelay: () => false,
    ...relay,
  }
  const network = testNetwork({ ...init, ...(relay === undefined ? {} : { relay: settings }) })
  networks.push(network)
  await network.start()
  return network
}

/** A node that can be reached over its relay alone. */
async function hidden(relay: Network): Promise<Network> {
  const node = await start({ servers: [addressOf(relay)] }, { listen: [] })
  await expect.poll(() => node.reach().reservations.map((each) => each.relay)).toEqual([relay.id])
  return node
}

test('two nodes that nobody can dial are connected over a relay, encrypted and proved end to end', async () => {
  const relay = await start({ serve: 'always' })
  const [from, to] = [await hidden(relay), await hidden(relay)]
  to.handle('/warren/echo/1', (stream) => void stream.pipe(stream))
  const address = `${addressOf(relay)}/p2p-circuit/p2p/${to.id}`
  expect(await from.connect(address)).toBe(to.id)
  // The other side may have dialled too: it has heard where this one is.
  const dialled = from.connections().find(({ peer, direction }) => peer === to.id && direction === 'outbound')
  expect(dialled).toMatchObject({ relayed: true, kind: 'relayed', via: relay.id, encryption: 'TLS 1.3' })
  const stream = await from.open(to.id, '/warren/echo/1')
  const bytes = Buffer.alloc(1_000_000, 5)
  stream.end(bytes)
  expect(Buffer.concat(await stream.toArray()).equals(bytes)).toBe(true)
  expect(await from.ping(to.id)).toBeGreaterThan(0)
  expect(relay.reach().relay?.circuits).toContainEqual(expect.objectContaining({ from: from.id, to: to.id }))
})

test('a relay that brings another peer than the one asked for is caught by both, and neither is connected', async () => {
  const liar = await start(undefined)
  const lie = { asked: '', brought: '' }
  let wasAsked = false
  liar.handle(RELAY_PROTOCOL, async (stream) => {
    const head = JSON.parse(String(await readMessage(stream)))
    if (head.kind === 'reserve') {
      await sendMessage(stream, { ok: true, expires_ms: 3_600_000, address: null, limits: { bytes: 0, ms: 0 } })
      return
    }
    // The nodes may hear of each other and try on their own.
    if (head.peer !== lie.asked) return void stream.destroy()
    wasAsked = true
    const limits = { bytes: 0, ms: 0 }
    const circuit = '0'.repeat(16)
    const far = await liar.open(lie.brought, STOP_PROTOCOL)
    await sendMessage(far, { kind: 'stop', peer: stream.peer, circuit, limits })
    await readMessage(far)
    await sendMessage(stream, { ok: true, circuit, limits })
    for (const end of [stream, far]) end.on('error', () => undefined)
    stream.pipe(far).pipe(stream)
  })
  const [from, to, other] = [await hidden(liar), await hidden(liar), await hidden(liar)]
  Object.assign(lie, { asked: to.id, brought: other.id })
  await expect(from.connect(`${addressOf(liar)}/p2p-circuit/p2p/${to.id}`)).rejects.toMatchObject({
    code: 'peer_id_mismatch',
  })
  expect(wasAsked).toBe(true)
  const connected = [from, to, other].map((node) => node.connections().map(({ peer }) => peer))
  expect(connected).toEqual([[liar.id], [liar.id], [liar.id]])
})
