import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { Counters } from '../base/counters.ts'
import { silentLogger } from '../base/log.ts'
import { ADDRESS_DIAL_TIMEOUT_MS } from './constants.ts'
import { addressOf, testNetwork, withNetworks } from './fixtures/networks.ts'
import { requestAdmission } from './request-admission.ts'
import type { AdmissionServer } from './types.ts'

const YES: AdmissionServer = { isOpen: () => true, answer: async () => Buffer.from('yes') }
const DEAD = '/ip4/127.0.0.1/tcp/1'

interface AskOptions {
  compose?: (facts: { peer: string; transcript: Uint8Array }) => Uint8Array
  signal?: AbortSignal
}

function ask(addresses: string[], { compose = () => Buffer.from('please'), signal }: AskOptions = {}) {
  return requestAdmission({ privateKey: randomBytes(32), addresses, compose, log: silentLogger, signal })
}

/** A port of loopback that takes connections and says nothing. */
async function withSilence(work: (address: string, server: net.Server) => Promise<void>): Promise<void> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await work(`/ip4/127.0.0.1/tcp/${(server.address() as net.AddressInfo).port}`, server)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

test('addresses are tried in their order until one answers', async () => {
  await withNetworks([{ admission: YES }, { admission: YES }], async (a, b) => {
    const { peer, address } = await ask([`${DEAD}/p2p/${a.id}`, addressOf(b), addressOf(a)])
    expect([peer, address]).toEqual([b.id, addressOf(b)])
  })
})

test('an address where nobody says a word is passed over', async () => {
  await withSilence(async (silent) => {
    await withNetworks([{ admission: YES }], async (a) => {
      const { address } = await ask([`${silent}/p2p/${a.id}`, addressOf(a)])
      expect(address).toBe(addressOf(a))
    })
  })
})

test('a peer that refuses is asked once, another one after it', async () => {
  const counters = new Counters()
  const closed: AdmissionServer = { ...YES, isOpen: () => false }
  await withNetworks([{ admission: closed, counters }, { admission: YES }], async (a, b) => {
    const otherWay = addressOf(a).replace('/ip4/127.0.0.1', '/dns4/localhost')
    expect((await ask([addressOf(a), otherWay, addressOf(b)])).peer).toBe(b.id)
    expect(counters.get('net_admission', { outcome: 'not_open' })).toBe(1)
  })
})

test('the failure of several addresses has the code that says most, and the reason of each', async () => {
  const nobody = testNetwork().id
  await expect(ask([`${DEAD}/p2p/${nobody}`])).rejects.toMatchObject({
    code: 'peer_unreachable',
    message: expect.stringContaining('the port is closed'),
  })
  await withNetworks([{ admission: { ...YES, isOpen: () => false } }], async (a) => {
    const wrongId = addressOf(a).replace(a.id, nobody)
    await expect(ask([wrongId])).rejects.toMatchObject({ code: 'peer_id_mismatch' })
    const all = ask([`${DEAD}/p2p/${nobody}`, wrongId, addressOf(a)])
    await expect(all).rejects.toMatchObject({
      code: 'admission_refused',
      message: expect.stringMatching(/^[^;]+;[^;]+;[^;]+$/),
    })
  })
  await expect(ask([])).rejects.toMatchObject({ code: 'peer_unreachable' })
})

test('an address that does not say whose it is is not asked', async () => {
  await expect(ask(['/ip4/127.0.0.1/tcp/9010'])).rejects.toMatchObject({ code: 'address_invalid' })
  await expect(ask(['somewhere'])).rejects.toMatchObject({ code: 'address_invalid' })
})

test('asking ends with its signal, before and amid the talk', async () => {
  await expect(ask([DEAD], { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow()
  const asked = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const admission: AdmissionServer = {
    isOpen: () => true,
    answer: ({ signal }) => {
      asked.resolve()
      signal.addEventListener('abort', () => left.resolve())
      return new Promise(() => undefined)
    },
  }
  await withNetworks([{ admission }], async (a) => {
    const stop = new AbortController()
    const asking = ask([addressOf(a)], { signal: stop.signal })
    await asked.promise
    stop.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
    await left.promise
  })
  await withSilence(async (silent, server) => {
    const stop = new AbortController()
    const asking = ask([`${silent}/p2p/${testNetwork().id}`], { signal: stop.signal })
    await once(server, 'connection')
    stop.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
  })
})

test('the longest request and answer go through whole; longer ones do not leave the node', async () => {
  let answer = randomBytes(64 * 1024)
  const heard: string[] = []
  const admission: AdmissionServer = {
    isOpen: () => true,
    answer: async ({ message }) => {
      heard.push(createHash('sha256').update(message).digest('hex'))
      return answer
    },
  }
  await withNetworks([{ admission }], async (a) => {
    const message = randomBytes(4096)
    const given = await ask([addressOf(a)], { compose: () => message })
    expect(answer.equals(given.answer)).toBe(true)
    expect(heard).toEqual([createHash('sha256').update(message).digest('hex')])
    await expect(ask([addressOf(a)], { compose: () => Buffer.alloc(4097) })).rejects.toThrow('4097 bytes is too long')
    answer = Buffer.alloc(64 * 1024 + 1)
    await expect(ask([addressOf(a)])).rejects.toMatchObject({ code: 'admission_refused' })
  })
})

test('what compose throws comes back as it is, and no other address is tried', async () => {
  await withNetworks([{ admission: YES }, { admission: YES }], async (a, b) => {
    const mistake = new Error('cannot sign')
    let composed = 0
    const compose = (): never => {
      composed += 1
      throw mistake
    }
    await expect(ask([addressOf(a), addressOf(b)], { compose })).rejects.toBe(mistake)
    expect(composed).toBe(1)
  })
})

test('both sides have the same transcript, another one on each connection and at each listener', async () => {
  const heard: string[] = []
  const admission: AdmissionServer = {
    isOpen: () => true,
    answer: async ({ transcript }) => {
      heard.push(Buffer.from(transcript).toString('hex'))
      return Buffer.alloc(0)
    },
  }
  const privateKey = randomBytes(32)
  await withNetworks([{ admission }, { admission }], async (a, b) => {
    const said: string[] = []
    for (const address of [addressOf(a), addressOf(a), addressOf(b)]) {
      const compose = ({ transcript }: { transcript: Uint8Array }): Uint8Array => {
        said.push(Buffer.from(transcript).toString('hex'))
        return Buffer.alloc(0)
      }
      await requestAdmission({ privateKey, addresses: [address], compose, log: silentLogger })
    }
    expect(heard).toEqual(said)
    expect(new Set(heard).size).toBe(3)
  })
})

test('a node in the middle that passes a request on is refused, for the transcript is not its own', async () => {
  const sign = (transcript: Uint8Array) => createHash('sha256').update('secret').update(transcript).digest()
  const honest: AdmissionServer = {
    isOpen: () => true,
    answer: async ({ message, transcript }) => {
      if (!sign(transcript).equals(message)) throw new Error('not signed for this connection')
      return Buffer.from('yes')
    },
  }
  await withNetworks([{ admission: honest }], async (target) => {
    const outcome = Promise.withResolvers<string>()
    const middle: AdmissionServer = {
      isOpen: () => true,
      answer: async ({ message }) => {
        await ask([addressOf(target)], { compose: () => message }).then(
          () => outcome.resolve('answered'),
          (error: { code: string }) => outcome.resolve(error.code),
        )
        throw new Error('of no use')
      },
    }
    await withNetworks([{ admission: middle }], async (between) => {
      const compose = ({ transcript }: { transcript: Uint8Array }) => sign(transcript)
      await expect(ask([addressOf(between)], { compose })).rejects.toMatchObject({ code: 'admission_refused' })
      expect(await outcome.promise).toBe('admission_refused')
      expect(Buffer.from((await ask([addressOf(target)], { compose })).answer).toString()).toBe('yes')
    })
  })
})

test('a node that knows nothing of admission refuses it', async () => {
  await withNetworks([{}], async (a) => {
    await expect(ask([addressOf(a)])).rejects.toMatchObject({ code: 'admission_refused' })
  })
})

test('a silent address does not keep the next one from being asked, and one node is asked at a time', async () => {
  let underWay = 0
  let most = 0
  const slow: AdmissionServer = {
    isOpen: () => true,
    answer: async () => {
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay -= 1
      throw new Error('not this one')
    },
  }
  await withSilence(async (silent) => {
    await withNetworks([{ admission: slow }, { admission: slow }, { admission: YES }], async (a, b, c) => {
      const begun = performance.now()
      const asked = await ask([`${silent}/p2p/${c.id}`, addressOf(a), addressOf(b), addressOf(c)])
      expect(asked.address).toBe(addressOf(c))
      expect(performance.now() - begun).toBeLessThan(ADDRESS_DIAL_TIMEOUT_MS)
      expect(most).toBe(1)
    })
  })
})

test('an address over a relay is not asked by who has nothing to say to a relay', async () => {
  await withNetworks([{ admission: YES }], async (a) => {
    const over = `${addressOf(a)}/p2p-circuit/p2p/${testNetwork().id}`
    await expect(ask([over])).rejects.toMatchObject({ code: 'peer_unreachable' })
  })
})
