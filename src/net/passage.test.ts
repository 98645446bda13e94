import { createHmac, randomBytes } from 'node:crypto'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect, test } from 'vitest'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { ChannelDuplex } from './channel-duplex.ts'
import { receiveFrame, sendFrame } from './channel-frames.ts'
import { PASSAGE_BYTES, PASSAGE_TIMEOUT_MS } from './constants.ts'
import { dialWith } from './fixtures/askers.ts'
import { addressOf, TEST_KEY, testNetwork, withNetworks } from './fixtures/networks.ts'
import { newIdentity } from './fixtures/secured.ts'
import { readMessage, sendMessage } from './frames.ts'
import { hostLogger } from './host-log.ts'
import { requestTranscript } from './proof.ts'
import { channelBinding, greetAsDialler, proveAsDialler } from './proof-exchange.ts'
import { PASSAGES, RELAY_PROTOCOL, STOP_PROTOCOL } from './relay/constants.ts'
import { LIMITS } from './relay/fixtures/relays.ts'
import { requestAdmission } from './request-admission.ts'
import type { SecuredChannel } from './talking-encrypter.ts'
import { nodeContext, talkOver } from './transport/index.ts'
import { secureChannel } from './transport/secure-channel.ts'
import type { AdmissionRequest, AdmissionServer, Network, NetworkInit } from './types.ts'

const SECRET = Buffer.alloc(16, 5)
const PATIENT = { timeout: 20_000, interval: 20 }
const REQUEST_FRAME = { lengthBytes: 2, maxBytes: 4096 } as const
const ANSWER_FRAME = { lengthBytes: 4, maxBytes: 65_536 } as const

const NO_LOG = hostLogger(silentLogger).forComponent('test')

const sign = (transcript: Uint8Array, secret: Uint8Array = SECRET): string =>
  createHmac('sha256', secret).update(transcript).digest('hex')
const passage = (to: string, transcript: Uint8Array, secret?: Uint8Array): Buffer =>
  Buffer.from(JSON.stringify({ to, proof: sign(transcript, secret) }))

/** Lets through who knows the secret, to these admins. */
function rules(admins: () => readonly string[]): AdmissionServer {
  return {
    isOpen: () => false,
    answer: () => Promise.reject(new Error('a relay admits nobody')),
    passages: {
      isOpen: () => admins().length > 0,
      adminFor: ({ message, transcript }) => {
        const { to, proof } = JSON.parse(String(message)) as { to: string; proof: string }
        if (proof !== sign(transcript)) throw new Error('it does not know the secret')
        if (!admins().includes(to)) throw new Error('that is no admin')
        return to
      },
    },
  }
}

function admitting(heard: AdmissionRequest[]): AdmissionServer {
  return {
    isOpen: () => true,
    answer: async (request) => {
      heard.push(request)
      return Buffer.from(`welcome ${request.peer}`)
    },
  }
}

const relaySettings = (init: Partial<NonNullable<NetworkInit['relay']>>): NonNullable<NetworkInit['relay']> => ({
  servers: [],
  serve: 'never',
  limits: LIMITS,
  mayUse: () => true,
  isRelay: () => false,
  ...init,
})

interface World {
  readonly relay: Network
  readonly admin: Network
  readonly heard: AdmissionRequest[]
  readonly counters: { relay: Counters; admin: Counters }
  /** Whom the relay takes for admins. */
  readonly admins: string[]
  /** Where a stranger asks for the admin. */
  readonly address: string
}

/** A relay, and an admin that can be reached over it alone. */
async function withAdmin(work: (world: World) => Promise<void>, init: Partial<NetworkInit> = {}): Promise<void> {
  const admins: string[] = []
  const heard: AdmissionRequest[] = []
  const counters = { relay: new Counters(), admin: new Counters() }
  const server = { relay: relaySettings({ serve: 'always' }), counters: counters.relay, admission: rules(() => admins) }
  await withNetworks([server], async (relay) => {
    const admin = testNetwork({
      listen: [],
      relay: relaySettings({ servers: [addressOf(relay)] }),
      admission: admitting(heard),
      counters: counters.admin,
      ...init,
    })
    try {
      await admin.start()
      await expect.poll(() => admin.reach().reservations.length, PATIENT).toBe(1)
      admins.push(admin.id)
      const address = `${addressOf(relay)}/p2p-circuit/p2p/${admin.id}`
      await work({ relay, admin, heard, counters, admins, address })
    } finally {
      await admin.stop()
    }
  })
}

interface AskOptions {
  secret?: Uint8Array
  privateKey?: Uint8Array
  to?: string
}

function ask(addresses: string | string[], { secret, privateKey = randomBytes(32), to }: AskOptions = {}) {
  return requestAdmission({
    privateKey,
    addresses: [addresses].flat(),
    compose: () => Buffer.from('please'),
    composePassage: ({ peer, transcript }) => passage(to ?? peer, transcript, secret),
    log: silentLogger,
  })
}

/** What a stranger that knows the secret does with a relay up to its answer, and then. */
async function enter(
  { address, from, privateKey: known }: { address: string; from?: string; privateKey?: PrivateKey },
  then: (secured: SecuredChannel, answer: { ok: boolean; code?: string }) => Promise<void>,
): Promise<void> {
  const privateKey = known ?? (await newIdentity()).privateKey
  const self = peerIdFromPrivateKey(privateKey).toString()
  const to = peerIn(address)
  const signal = AbortSignal.timeout(30_000)
  const talk = async (secured: SecuredChannel): Promise<void> => {
    const { channel, peer, protocol } = secured
    const nonces = await greetAsDialler(channel, 'passage', signal)
    const binding = channelBinding(protocol, channel, 'passage')
    const context = { dialler: self, listener: peer, channel: protocol, binding, ...nonces }
    sendFrame(channel, passage(to, requestTranscript('passage', context)), REQUEST_FRAME)
    const heard = await receiveFrame(channel, ANSWER_FRAME, signal)
    await then(secured, JSON.parse(String(heard)) as { ok: boolean; code?: string })
  }
  const relay = address.slice(0, address.indexOf('/p2p-circuit'))
  await dialWith(relay, { over: 'TLS', talk, privateKey, ...(from === undefined ? {} : { from }) })
}

const strangersAt = (counters: Counters): number =>
  counters
    .entries()
    .filter(([key]) => key.startsWith('relay_client_strangers'))
    .reduce((sum, [, value]) => sum + value, 0)
const peerIn = (address: string): string => address.split('/').at(-1) as string
const closedOf = ({ channel }: SecuredChannel): Promise<void> =>
  new Promise((resolve) => {
    if (channel.status !== 'open') resolve()
    channel.addEventListener('close', () => resolve())
  })

test('a stranger is admitted over a relay by an admin whom it cannot dial, over a channel of their own', async () => {
  await withAdmin(async ({ relay, admin, heard, address, counters }) => {
    relay.events.on('refused', () => expect.unreachable('it was let through'))
    const privateKey = randomBytes(32)
    const self = peerIdOf(signerFromSeed(privateKey).publicKey)
    const admission = await ask(address, { privateKey })
    expect([admission.peer, admission.address]).toEqual([admin.id, address])
    expect(String(Buffer.from(admission.answer))).toBe(`welcome ${self}`)
    expect(heard).toMatchObject([{ peer: self, address: expect.stringContaining(`${relay.id}/p2p-circuit`) }])
    expect(counters.relay.get('net_passages', { outcome: 'answered' })).toBe(1)
    expect(counters.admin.get('net_admission', { outcome: 'answered' })).toBe(1)
    for (const network of [relay, admin]) {
      expect(network.connections().some(({ peer }) => peer === self)).toBe(false)
    }
    expect(relay.reach().relay?.circuits).toEqual([])
  })
})

test('the direct address of an admin that answers goes before the relay', async () => {
  await withAdmin(
    async ({ admin, address, counters }) => {
      expect((await ask([addressOf(admin), address])).address).toBe(addressOf(admin))
      expect(counters.relay.get('net_passages', { outcome: 'answered' })).toBe(0)
      const dead = `/ip4/127.0.0.1/tcp/1/p2p/${admin.id}`
      expect((await ask([dead, address])).address).toBe(address)
    },
    { listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
})

test('who does not know the secret is not let through, and costs its address an attempt', async () => {
  await withAdmin(async ({ heard, address, counters }) => {
    await expect(ask(address, { secret: randomBytes(16) })).rejects.toMatchObject({
      code: 'peer_unreachable',
      message: expect.stringContaining('does not let this node through'),
    })
    expect(counters.relay.get('net_passages', { outcome: 'refused' })).toBe(1)
    for (let count = 0; count < 5; count++) await ask(address, { secret: randomBytes(16) }).catch(() => undefined)
    expect(counters.relay.get('net_passages', { outcome: 'limited' })).toBeGreaterThan(0)
    // Not even the right secret is heard from there for a while.
    await expect(ask(address)).rejects.toMatchObject({ code: 'peer_unreachable' })
    expect(heard).toEqual([])
  })
}, 30_000)

test('nobody is let through to a node that is no admin, or has no reservation, and the latter is said', async () => {
  await withAdmin(async ({ relay, admins, heard, address }) => {
    const member = testNetwork({
      listen: [],
      relay: relaySettings({ servers: [addressOf(relay)] }),
      admission: admitting(heard),
    })
    await member.start()
    try {
      await expect.poll(() => member.reach().reservations.length, PATIENT).toBe(1)
      const toMember = `${addressOf(relay)}/p2p-circuit/p2p/${member.id}`
      await expect(ask(toMember)).rejects.toMatchObject({ code: 'peer_unreachable' })
      const gone = testNetwork().id
      admins.push(gone)
      await expect(ask(`${addressOf(relay)}/p2p-circuit/p2p/${gone}`)).rejects.toMatchObject({
        code: 'peer_unreachable',
        message: expect.stringContaining('holds no reservation here'),
      })
      // A relay does not let through to itself either, and brings nobody else than who was asked for.
      await expect(ask(`${addressOf(relay)}/p2p-circuit/p2p/${relay.id}`)).rejects.toThrow()
      const other = peerIdOf(signerFromSeed(randomBytes(32)).publicKey)
      const elsewhere = address.replace(/[^/]+$/, other)
      await expect(ask(elsewhere, { to: admins[0] as string })).rejects.toMatchObject({ code: 'peer_id_mismatch' })
      expect(heard).toEqual([])
    } finally {
      await member.stop()
    }
  })
}, 30_000)

test('without an open invite, and at a node that is no relay, nobody is heard', async () => {
  await withAdmin(async ({ relay, admin, admins, address, counters, heard }) => {
    admins.length = 0
    await expect(ask(address)).rejects.toMatchObject({ code: 'peer_unreachable' })
    expect(counters.relay.get('net_passages', { outcome: 'not_open' })).toBe(1)
    const over = `${addressOf(relay)}/p2p-circuit/p2p/${admin.id}`
    await withNetworks([{ admission: rules(() => [admin.id]) }], async (plain) => {
      await expect(ask(over.replace(addressOf(relay), addressOf(plain)))).rejects.toMatchObject({
        code: 'peer_unreachable',
      })
    })
    expect(heard).toEqual([])
  })
})

test('an admin that admits nobody now is not even asked, and who asked is told', async () => {
  await withAdmin(
    async ({ address, counters }) => {
      await expect(ask(address)).rejects.toMatchObject({
        code: 'peer_unreachable',
        message: expect.stringContaining('refuses'),
      })
      expect(counters.admin.get('relay_client_refused', { code: 'not_allowed' })).toBe(1)
    },
    { admission: { isOpen: () => false, answer: () => Promise.reject(new Error('no')) } },
  )
})

test('over a passage an admin holds the talk about admission and nothing else, whatever key one has', async () => {
  await withAdmin(async ({ admin, address, counters, heard }) => {
    let outcome: unknown
    const { id: self, privateKey } = await newIdentity()
    await enter({ address }, async (relay) => {
      const channel = new ChannelDuplex(relay.channel, { maxReadBytes: PASSAGE_BYTES })
      const context = nodeContext(privateKey)
      const signal = AbortSignal.timeout(20_000)
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
      const signal = AbortSignal.timeout(20_000)
      const channel = new ChannelDuplex(relay.channel, { maxReadBytes: PASSAGE_BYTES })
      const inner = { context: nodeContext(member.privateKey), log: NO_LOG, direction: 'outbound' } as const
      outcome = await talkOver(channel, { ...inner, peer: admin.id, address, signal }, async ({ channel: end }) => {
        const nonces = await greetAsDialler(end, 'proof', signal)
        const binding = channelBinding('/tls/1.0.0', end, 'proof')
        const ends = { networkId: 'test', dialler: member.id, listener: admin.id, channel: '/tls/1.0.0', binding }
        await proveAsDialler({ channel: end, keys: [TEST_KEY], context: { ...ends, ...nonces }, signal })
      }).catch((error: { code: string }) => error.code)
    })
    expect(outcome).toBe('network_key_mismatch')
    expect(counters.admin.get('relay_client_strangers', { outcome: 'protocol_unsupported' })).toBe(1)
    expect(admin.connections().map(({ relayed }) => relayed)).toEqual([false])
    expect(heard).toEqual([])
  })
}, 30_000)

test('a passage carries so many bytes and lasts so long, and neither side sees more', async () => {
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
    await expect.poll(() => counters.relay.get('relay_bytes'), PATIENT).toBeLessThan(PASSAGE_BYTES + 65_536)
    await expect.poll(() => strangersAt(counters.admin), PATIENT).toBe(1)
    // One that says nothing at all is over with the time of a passage, at the relay and at the admin.
    const begun = performance.now()
    await enter({ address }, async (relay) => closedOf(relay))
    expect(performance.now() - begun).toBeLessThan(PASSAGE_TIMEOUT_MS + 10_000)
    await expect.poll(() => strangersAt(counters.admin), PATIENT).toBe(2)
  })
}, 60_000)

test('passages are limited by where they come from, and others get theirs meanwhile', async () => {
  await withAdmin(async ({ address, heard }) => {
    const end = Promise.withResolvers<void>()
    const answers: (string | undefined)[] = []
    const many = Array.from({ length: PASSAGES.bySource + 4 }, () =>
      enter({ address, from: '127.0.0.2' }, async (_relay, { ok, code }) => {
        answers.push(ok ? 'ok' : code)
        if (ok) await end.promise
      }),
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
  })
}, 60_000)

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
    const signal = AbortSignal.timeout(20_000)
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
}, 30_000)
