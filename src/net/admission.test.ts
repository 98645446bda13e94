import { createHmac, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import { peerIdOf, signerFromSeed } from '../identity/index.ts'
import { AdmissionDesk } from './admission-desk.ts'
import {
  ADMISSION_REFUSAL_DELAY_MS,
  ADMISSION_SOURCE_RATE,
  ADMISSION_TIMEOUT_MS,
  ADMISSION_TOTAL_RATE,
} from './constants.ts'
import { dialWith, hear, listenOver } from './fixtures/askers.ts'
import { addressOf, nextEvent, TEST_KEY, withNetworks } from './fixtures/networks.ts'
import type { Channel } from './fixtures/secured.ts'
import { requestAdmission } from './request-admission.ts'
import type { AdmissionRequest, AdmissionServer } from './types.ts'

const SECRET = Buffer.alloc(16, 5)
/** A busy machine takes its time. */
const PATIENT = { interval: 5 }
const HELLO = Buffer.concat([Buffer.of(0, 33, 2), Buffer.alloc(32, 1)])

function request(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Answers who knows the secret with what it has heard. */
function secretServer(heard: AdmissionRequest[] = []): AdmissionServer {
  return {
    isOpen: () => true,
    answer: async (request) => {
      heard.push(request)
      if (!createHmac('sha256', SECRET).update(request.transcript).digest().equals(request.message)) {
        throw new Error('a wrong guess')
      }
      return Buffer.from(`welcome ${request.peer}`)
    },
  }
}

interface AskOptions {
  secret?: Uint8Array
  privateKey?: Uint8Array
  signal?: AbortSignal
}

function ask(addresses: string | string[], { secret = SECRET, privateKey = randomBytes(32), signal }: AskOptions = {}) {
  return requestAdmission({
    privateKey,
    addresses: [addresses].flat(),
    compose: ({ transcript }) => createHmac('sha256', secret).update(transcript).digest(),
    log: silentLogger,
    signal,
  })
}

interface DeskTools {
  desk: AdmissionDesk
  clock: ManualClock
  counters: Counters
}

/** A desk and a listener for it over one kind of channel. */
async function withListener(
  over: Channel,
  server: AdmissionServer,
  work: (listener: Awaited<ReturnType<typeof listenOver>>, tools: DeskTools) => Promise<void>,
): Promise<void> {
  const [clock, counters] = [new ManualClock(), new Counters()]
  const desk = new AdmissionDesk({ server, clock, log: silentLogger, counters, onRefused: () => undefined })
  const listener = await listenOver(over, {
    gate: { allow: () => ({ allowed: true }) },
    proof: { networkId: () => 'test', keys: () => [TEST_KEY] },
    onRefused: () => undefined,
    desk,
  })
  try {
    await work(listener, { desk, clock, counters })
  } finally {
    await listener.stop()
  }
}

test('a node without the key asks and is answered, and is no peer of the network by that', async () => {
  const heard: AdmissionRequest[] = []
  const lines: object[] = []
  const log: Logger = {
    ...silentLogger,
    child: () => log,
    info: (fields, text) => void lines.push({ ...fields, text }),
  }
  const counters = new Counters()
  const gate = { allow: () => ({ allowed: false, reason: 'not in the roster' }) as const }
  await withNetworks([{ admission: secretServer(heard), counters, log, gate }], async (a) => {
    a.events.on('connected', () => expect.unreachable('a connection for admission counts as none'))
    a.events.on('refused', () => expect.unreachable('it was answered'))
    const privateKey = randomBytes(32)
    const self = peerIdOf(signerFromSeed(privateKey).publicKey)
    const { peer, address, answer } = await ask(addressOf(a), { privateKey })
    expect([peer, address, Buffer.from(answer).toString()]).toEqual([a.id, addressOf(a), `welcome ${self}`])
    expect(heard).toMatchObject([{ peer: self, address: expect.stringContaining('/ip4/127.0.0.1/tcp/') }])
    expect(heard[0]?.transcript).toHaveLength(32)
    expect(counters.get('net_admission', { outcome: 'answered' })).toBe(1)
    expect(lines).toContainEqual(expect.objectContaining({ peer: self, text: 'a request for admission was answered' }))
    expect(a.connections()).toEqual([])
  })
})

for (const over of ['TLS', 'Noise'] as const) {
  test(`admission works over ${over} alone, and leaves nothing behind`, async () => {
    await withListener(over, secretServer(), async (listener, { desk, clock, counters }) => {
      for (let count = 0; count < 10; count++) await ask(listener.address)
      expect(desk.size).toBe(0)
      const guess = ask(listener.address, { secret: randomBytes(16) }).catch((error: { code: string }) => error.code)
      await expect.poll(() => counters.get('net_admission', { outcome: 'refused' }), PATIENT).toBe(1)
      clock.advance(ADMISSION_REFUSAL_DELAY_MS)
      expect(await guess).toBe('admission_refused')
      expect(listener.connections()).toBe(0)
      expect(desk.size).toBe(1)
      clock.advance(10_000)
      expect(desk.size).toBe(0)
    })
  })

  test(`the longest answer comes whole over ${over}`, async () => {
    const answer = randomBytes(64 * 1024)
    await withListener(over, { isOpen: () => true, answer: async () => answer }, async (listener) => {
      expect(answer.equals((await ask(listener.address)).answer)).toBe(true)
    })
  })

  test(`who asks for admission over ${over} gets the answer and no protocol, whatever it says then`, async () => {
    const server = { isOpen: () => true, answer: async () => Buffer.from('yes') }
    const clock = new ManualClock()
    await withNetworks([{ admission: server, clock }], async (a) => {
      a.handle('/test/1', () => expect.unreachable('nothing is served'), { always: true })
      let heard: Buffer = Buffer.alloc(0)
      await dialWith(addressOf(a), {
        over,
        talk: async (secured) => {
          const { bytes, closed } = hear(secured)
          secured.channel.send(Buffer.concat([HELLO, request(Buffer.from('please'))]))
          await expect.poll(() => bytes().length, PATIENT).toBe(35 + 4 + 3)
          // What a muxer's negotiation, and a muxer, begin with.
          for (const line of ['/multistream/1.0.0', '/yamux/1.0.0', '/ipfs/id/1.0.0', '/test/1']) {
            secured.channel.send(Buffer.from(`${String.fromCharCode(line.length + 1)}${line}\n`))
          }
          secured.channel.send(Buffer.from('000100010000000100000000', 'hex'))
          clock.advance(ADMISSION_TIMEOUT_MS)
          await closed
          heard = bytes()
        },
      })
      expect(heard.subarray(35).toString('latin1')).toBe('\0\0\0\x03yes')
      expect(a.connections()).toEqual([])
    })
  })

  test(`an asker over ${over} that speaks badly hears a nonce and not one byte more`, async () => {
    const counters = new Counters()
    const clock = new ManualClock()
    const server = { isOpen: () => true, answer: () => expect.unreachable('nothing was asked') }
    const sayings: Record<string, Buffer> = {
      nothing: Buffer.alloc(0),
      'half a frame': Buffer.concat([HELLO, Buffer.of(0, 9, 1, 2, 3)]),
      'half a length': Buffer.concat([HELLO, Buffer.of(0)]),
      'an oversized frame': Buffer.concat([HELLO, Buffer.of(16, 1), Buffer.alloc(4097)]),
      'another version': Buffer.concat([Buffer.of(0, 33, 3), Buffer.alloc(32)]),
      'a short nonce': Buffer.of(0, 2, 2, 7),
    }
    await withNetworks([{ admission: server, clock, counters }], async (a) => {
      for (const [index, words] of Object.values(sayings).entries()) {
        let heard: Buffer = Buffer.alloc(0)
        await dialWith(addressOf(a), {
          over,
          from: `127.0.1.${index + 1}`,
          talk: async (secured) => {
            const { bytes, closed, first } = hear(secured)
            await first
            secured.channel.send(words.length > 0 ? words : HELLO)
            const timer = setInterval(() => clock.advance(ADMISSION_TIMEOUT_MS), 5)
            await closed
            clearInterval(timer)
            heard = bytes()
          },
        })
        expect(heard).toHaveLength(35)
      }
      expect(counters.get('net_admission', { outcome: 'garbled' })).toBe(4)
      expect(counters.get('net_refused', { cause: 'proof' })).toBe(2)
    })
  })

  test(`random bytes over ${over} hear a nonce, and harm nobody`, async () => {
    let source = 0
    const clock = new ManualClock()
    const server = { isOpen: () => true, answer: async () => Promise.reject(new Error('no')) }
    await withNetworks([{ admission: server, clock }, {}], async (a, member) => {
      const words = fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 5_000 }))
      await fc.assert(
        fc.asyncProperty(words, async ([greets, bytes]) => {
          source += 1
          await dialWith(addressOf(a), {
            over,
            from: `127.0.2.${source % 250}`,
            talk: async (secured) => {
              const heard = hear(secured)
              await heard.first
              secured.channel.send(Buffer.concat([greets ? HELLO : Buffer.alloc(0), bytes]))
              // The proof has the time of the system; a talk about admission is followed to its end.
              if (!greets) return
              const timer = setInterval(() => clock.advance(ADMISSION_TIMEOUT_MS), 2)
              await heard.closed
              clearInterval(timer)
              expect(heard.bytes()).toHaveLength(35)
            },
          })
        }),
        { numRuns: 40 },
      )
      expect(await member.connect(addressOf(a))).toBe(a.id)
    })
  })
}

test('who asks where nobody is admitted is cut off without a word, and told about', async () => {
  const servers = [undefined, { isOpen: () => false, answer: () => expect.unreachable('it is not open') }]
  for (const admission of servers) {
    const counters = new Counters()
    await withNetworks([{ ...(admission === undefined ? {} : { admission }), counters }], async (a) => {
      const refused = nextEvent(a, 'refused')
      await expect(ask(addressOf(a))).rejects.toMatchObject({ code: 'admission_refused' })
      expect(await refused).toMatchObject({ cause: 'admission', direction: 'inbound', code: 'admission_refused' })
      expect(counters.get('net_admission', { outcome: 'not_open' })).toBe(1)
      expect(counters.get('net_refused', { cause: 'admission' })).toBe(1)
    })
  }
})

test('wrong guesses cost the address that they come from, and nobody else', async () => {
  const heard: AdmissionRequest[] = []
  const counters = new Counters()
  await withNetworks([{ admission: secretServer(heard), counters }], async (a) => {
    const guesses = Array.from({ length: 12 }, () => ask(addressOf(a), { secret: randomBytes(16) }))
    const codes = await Promise.all(guesses.map((guess) => guess.catch((error: { code: string }) => error.code)))
    expect(new Set(codes)).toEqual(new Set(['admission_refused']))
    expect(heard).toHaveLength(ADMISSION_SOURCE_RATE.burst)
    expect(counters.get('net_admission', { outcome: 'refused' })).toBe(5)
    expect(counters.get('net_admission', { outcome: 'limited' })).toBe(7)
    await expect(ask(addressOf(a))).rejects.toMatchObject({ code: 'admission_refused' })
    const other = Promise.withResolvers<string>()
    await dialWith(addressOf(a), {
      over: 'TLS',
      from: '127.0.3.1',
      talk: async (secured) => {
        const { bytes, closed } = hear(secured)
        secured.channel.send(Buffer.concat([HELLO, request(Buffer.from('a guess'))]))
        await closed
        other.resolve(bytes().toString('hex'))
      },
    })
    expect(Buffer.from(await other.promise, 'hex')).toHaveLength(35)
    expect(heard).toHaveLength(6)
  })
})

test('many addresses together cannot make a node check without end', async () => {
  const counters = new Counters()
  const wrong = Promise.withResolvers<never>()
  let underWay = 0
  const answer = (): Promise<never> => {
    underWay += 1
    if (underWay === ADMISSION_TOTAL_RATE.burst) wrong.reject(new Error('a wrong guess'))
    return wrong.promise
  }
  const outcomes = () => ['refused', 'limited'].map((outcome) => counters.get('net_admission', { outcome }))
  const server = { isOpen: () => true, answer }
  await withNetworks([{ admission: server, clock: new ManualClock(), counters }], async (a) => {
    const guesses = Array.from({ length: 25 }, (_, index) =>
      dialWith(addressOf(a), {
        over: 'Noise',
        from: `127.0.4.${index + 1}`,
        talk: async (secured) => {
          secured.channel.send(Buffer.concat([HELLO, request(Buffer.from('a guess'))]))
          await expect.poll(outcomes, PATIENT).toEqual([ADMISSION_TOTAL_RATE.burst, 5])
        },
      }),
    )
    await Promise.all(guesses)
    expect(outcomes()).toEqual([ADMISSION_TOTAL_RATE.burst, 5])
  })
})

test('twenty nodes that come at once from one address are all admitted', async () => {
  await withNetworks([{ admission: secretServer() }], async (a) => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(addressOf(a))))
    expect(answers).toHaveLength(20)
  })
})

test('after two hundred talks nothing is left that would keep the next one out', async () => {
  const admission = secretServer()
  await withNetworks([{ admission }, {}], async (a, member) => {
    for (let count = 0; count < 200; count++) await ask(addressOf(a))
    expect(a.connections()).toEqual([])
    expect(await member.connect(addressOf(a))).toBe(a.id)
  })
})

test('askers who leave amid the talk take no room of the next one either', async () => {
  await withNetworks([{ admission: secretServer() }, {}], async (a, member) => {
    for (let count = 0; count < 200; count++) {
      await dialWith(addressOf(a), {
        over: 'Noise',
        talk: async (secured) => {
          const { first } = hear(secured)
          await first
          secured.channel.send(count % 2 === 0 ? HELLO : Buffer.concat([HELLO, Buffer.of(0, 9, 1)]))
        },
      })
    }
    expect(await member.connect(addressOf(a))).toBe(a.id)
  })
})
