import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ChannelDuplex } from './channel-duplex.ts'
import { PASSAGE_BYTES } from './constants.ts'
import { dialWith, hear } from './fixtures/askers.ts'
import { addressOf, TEST_KEY, testNetwork } from './fixtures/networks.ts'
import {
  admitting,
  ask,
  closedOf,
  enter,
  NO_LOG,
  PATIENT,
  relaySettings,
  SLOW_CLOCK,
  strangersAt,
  withAdmin,
} from './fixtures/passages.ts'
import { newIdentity } from './fixtures/secured.ts'
import { readMessage, sendMessage } from './frames.ts'
import { channelBinding, greetAsDialler, proveAsDialler } from './proof-exchange.ts'
import { PASSAGES, RELAY_PROTOCOL, STOP_PROTOCOL } from './relay/constants.ts'
import { nodeContext, talkOver } from './transport/index.ts'
import { secureChannel } from './transport/secure-channel.ts'
import type { AdmissionRequest, Network } from './types.ts'

test('over a passage an admin holds the talk about admission and nothing else, whatever key one has', async () => {
  await withAdmin(async ({ admin, address, counters, heard }) => {
    let outcome: unknown
    const { id: self, privateKey } = await newIdentity()
    await enter({ address }, async (relay) => {
      const channel = new ChannelDuplex(relay.channel, { maxReadBytes: PASSAGE_BYTES })
      const context = nodeContext(privateKey)
      const signal = AbortSignal.timeout(60_000)
      // It is another id than the one that the relay has told.
      outcome = await secureChannel(channel, { direction: 'outbound', context, peer: admin.id, signal }).then(
        ({ socket }) => new Promise((resolve) => socket.resume().once('close', () => resolve('cut off'))),
        () => 'cut off',
      )
    })
    expect(outcome).toBe('cut off')
    expect(self).not.toBe(admin.id)
    const member = await newIdentity()
    await enter({ address, privateKey: member.privateKey }, async (relay) => {
      const signal = AbortSignal.timeout(60_000)
      const channel = new ChannelDuplex(relay.channel, { maxReadBytes: PASSAGE_BYTES })
      const inner = { context: nodeContext(member.privateKey), log: NO_LOG, direction: 'outbound' } as const
      outcome = await talkOver(channel, { ...inner, peer: admin.id, address, signal }, async ({ channel: end }) => {
        const binding = channelBinding('/tls/1.0.0', end, 'proof')
        const ends = { networkId: 'test', dialler: member.id, listener: admin.id, channel: '/tls/1.0.0', binding }
        await proveAsDialler({ channel: end, keys: [TEST_KEY], context: ends, signal })
      }).catch((error: { code: string }) => error.code)
    })
    expect(outcome).toBe('network_key_mismatch')
    expect(counters.admin.get('relay_client_strangers', { outcome: 'protocol_unsupported' })).toBe(1)
    expect(admin.connections().map(({ relayed }) => relayed)).toEqual([false])
    expect(heard).toEqual([])
  })
})

test('passages are limited by where they come from, and others get theirs meanwhile', async () => {
  await withAdmin(
    async ({ address, heard }) => {
      const end = Promise.withResolvers<void>()
      const answers: (string | undefined)[] = []
      const many = Array.from({ length: PASSAGES.bySource + 4 }, () =>
        enter({ address, from: '127.0.0.2' }, async (_relay, { ok, code }) => {
          answers.push(ok ? 'ok' : code)
          if (ok) await end.promise
        }).catch((error: Error) => void answers.push(error.message)),
      )
      await expect.poll(() => answers.length, PATIENT).toBe(many.length)
      expect(answers.filter((each) => each === 'ok').length).toBeLessThanOrEqual(PASSAGES.bySource)
      expect(answers.filter((each) => each === 'limit_reached').length).toBeGreaterThanOrEqual(4)
      end.resolve()
      await Promise.all(many)
      await expect
        .poll(
          () =>
            ask(address).then(
              () => true,
              () => false,
            ),
          PATIENT,
        )
        .toBe(true)
      expect(heard).toHaveLength(1)
    },
    { clock: SLOW_CLOCK },
  )
})

test('a relay that lies gets no node to hear a stranger, and a joiner nobody but the admin of its code', async () => {
  const heard: AdmissionRequest[] = []
  const liar = testNetwork()
  let wrong: Network | undefined
  liar.handle(RELAY_PROTOCOL, async (stream) => {
    await readMessage(stream)
    await sendMessage(stream, { ok: true, expires_ms: 3_600_000, address: null, limits: { bytes: 0, ms: 0 } })
  })
  await liar.start()
  const settings = relaySettings({ servers: [addressOf(liar)] })
  const admin = testNetwork({ listen: [], relay: settings, admission: admitting(heard) })
  const stranger = testNetwork({ listen: [], admission: admitting(heard) })
  try {
    await Promise.all([admin, stranger].map((network) => network.start()))
    await expect.poll(() => admin.reach().reservations.length, PATIENT).toBe(1)
    wrong = testNetwork()
    await wrong.start()
    // Without a reservation there, a node takes nothing from it: it does not even serve that.
    await stranger.connect(addressOf(liar))
    await expect(liar.open(stranger.id, STOP_PROTOCOL)).rejects.toMatchObject({ code: 'protocol_unsupported' })
    // It names one stranger and is another itself: TLS finds that out.
    const stream = await liar.open(admin.id, STOP_PROTOCOL)
    await sendMessage(stream, { kind: 'passage', peer: wrong.id })
    expect(JSON.parse(String(await readMessage(stream)))).toEqual({ ok: true })
    const { privateKey } = await newIdentity()
    const signal = AbortSignal.timeout(60_000)
    const inner = { context: nodeContext(privateKey), log: NO_LOG, direction: 'outbound' } as const
    const outcome = talkOver(
      stream,
      { ...inner, peer: admin.id, address: '/ip4/127.0.0.1/tcp/1', signal },
      ({ channel }) => greetAsDialler(channel, 'admission', signal),
    )
    await expect(outcome).rejects.toThrow()
    expect(heard).toEqual([])
  } finally {
    await Promise.all([liar, admin, stranger, wrong].map((network) => network?.stop()))
  }
})

// Most of both is waiting for the end of a time.
describe.concurrent('side by side', () => {
  test('a passage carries so many bytes and lasts so long, and neither side sees more', async ({ expect }) => {
    await withAdmin(async ({ address, counters }) => {
      let sent = 0
      await enter({ address }, async (relay, answer) => {
        expect(answer).toEqual({ ok: true })
        const closed = closedOf(relay)
        const flood = setInterval(() => {
          if (relay.channel.status === 'open') relay.channel.send(Buffer.alloc(16_384))
          sent += 16_384
        }, 1)
        await closed
        clearInterval(flood)
      })
      expect(sent).toBeGreaterThan(0)
      const ended = (): string[] =>
        counters.relay.entries().flatMap(([key]) => (/^relay_passages_ended/.test(key) ? [key] : []))
      await expect.poll(ended, PATIENT).toHaveLength(1)
      expect(counters.relay.get('relay_bytes')).toBeLessThan(PASSAGE_BYTES + 65_536)
      await expect.poll(() => strangersAt(counters.admin), PATIENT).toBe(1)
      // One that says nothing at all is over with the time of a passage, at the relay and at the admin.
      await enter({ address }, async (relay) => closedOf(relay))
      await expect.poll(() => strangersAt(counters.admin), PATIENT).toBe(2)
    })
  })

  test('random bytes in place of a request for a passage hear a nonce, and harm nobody', async ({ expect }) => {
    await withAdmin(async ({ address, heard, counters }) => {
      const relay = address.slice(0, address.indexOf('/p2p-circuit'))
      const hello = Buffer.concat([Buffer.of(0, 33, 3), Buffer.alloc(32, 1)])
      const strike = (count: number): Promise<void> =>
        dialWith(relay, {
          over: 'TLS',
          from: `127.0.0.${10 + count}`,
          talk: async (secured) => {
            const said = hear(secured)
            secured.channel.send(Buffer.concat([hello, randomBytes(1 + count * 40)]))
            await said.first
            if (count % 2 === 0) secured.channel.abort(new Error('gone'))
            await said.closed
            expect(said.bytes().length).toBe(35)
          },
        })
      await Promise.all(Array.from({ length: 12 }, (_, count) => strike(count)))
      expect(heard).toEqual([])
      expect(counters.relay.get('net_passages', { outcome: 'answered' })).toBe(0)
      expect((await ask(address)).address).toBe(address)
    })
  })
})
