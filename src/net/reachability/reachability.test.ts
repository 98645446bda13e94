import { once } from 'node:events'
import { createServer, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { Counters } from '../../base/counters.ts'
import { silentLogger } from '../../base/log.ts'
import { readMessage, sendMessage } from '../frames.ts'
import { bindingTcp } from '../stun/index.ts'
import type { ConnectionInfo, Stream } from '../types.ts'
import { PEER_RATE, RECHECK_MS, UNKNOWN_RECHECK_MS } from './constants.ts'
import { parseAnswer, parseRequest, type ReachRequest } from './messages.ts'
import { createReachability, type ReachabilityInit } from './reachability.ts'

const FROM_OUTSIDE = { host: '1.1.1.1', port: 40_000 }

function connectionTo(peer: string, address: string, more: Partial<ConnectionInfo> = {}): ConnectionInfo {
  const facts = { relayed: false, since: 0, latencyMs: 1, agent: null, encryption: 'TLS 1.3' }
  return { peer, address, direction: 'inbound', ...facts, ...more } as ConnectionInfo
}

/** Both ends of a stream, as peer `a` and peer `b` have them. */
function streamPair(): [Stream, Stream] {
  const ends: Duplex[] = []
  const make = (index: number): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (bytes, _encoding, done) => {
        ends[1 - index]?.push(bytes)
        done()
      },
      final: (done) => {
        ends[1 - index]?.push(null)
        done()
      },
      destroy: (error, done) => {
        ends[1 - index]?.destroy(error ?? undefined)
        done(error)
      },
    })
  ends.push(make(0), make(1))
  for (const end of ends) end.on('error', () => undefined)
  const [a, b] = ends as [Duplex, Duplex]
  return [Object.assign(a, { peer: 'b', protocol: 'x' }), Object.assign(b, { peer: 'a', protocol: 'x' })]
}

type Serve = (stream: Stream) => void | Promise<void>

/** A node whose peers answer by `helper`, or by the very code of another node. */
function node(init: Partial<ReachabilityInit> & { helper?: Serve } = {}) {
  const served: { serve?: Serve } = {}
  const asked: string[] = []
  const reachability = createReachability({
    handle: (_protocol, serve) => {
      served.serve = serve
      return () => undefined
    },
    opener: {
      openOn: async (peer) => {
        asked.push(peer)
        const [own, theirs] = streamPair()
        void Promise.resolve(init.helper?.(theirs)).catch(() => theirs.destroy())
        return own
      },
    },
    connections: () => [],
    ports: () => [9010],
    clock: systemClock,
    log: silentLogger,
    counters: new Counters(),
    ...init,
  })
  return { reachability, asked, served }
}

async function readRequest(stream: Stream): Promise<ReachRequest> {
  return parseRequest((await readMessage(stream)) as Buffer)
}

/** A helper that says what it likes; with `comes` its connection comes in first. */
function helperThat(answer: object, comes?: (nonce: string) => void): Serve {
  return async (stream) => {
    const { probes } = await readRequest(stream)
    for (const { nonce } of probes) comes?.(nonce)
    await sendMessage(stream, answer)
    stream.end()
  }
}

const SEEN = { seen: '9.9.9.9', results: [{ port: 9010, outcome: 'answered' }] }
const THREE = ['1.1.1.1', '2.2.2.2', '3.3.3.3'].map((host, index) => connectionTo(`p${index}`, `/ip4/${host}/tcp/9010`))

test('what came in with the nonce counts, and not what a helper says', async () => {
  const { reachability } = node({ connections: () => THREE, helper: helperThat(SEEN) })
  expect(await reachability.check()).toBe('private')
  const honest = node({
    connections: () => THREE,
    helper: helperThat(SEEN, (nonce) => honest.reachability.admits(nonce, FROM_OUTSIDE)),
  })
  expect(await honest.reachability.check()).toBe('public')
  expect(honest.reachability.confirmed()).toEqual(['9.9.9.9:9010'])
})

test('strangers cannot keep those out who are asked, nor one stranger all others', async () => {
  const sockets: Socket[] = []
  const from = (host: string, count = 1): number => {
    let taken = 0
    for (let n = 0; n < count; n++) {
      const socket = Object.defineProperties(new Socket(), {
        remoteAddress: { value: host },
        remotePort: { value: 1_000 + n },
      })
      sockets.push(socket)
      reachability.answerTcp(socket)
      if (!socket.destroyed) taken++
    }
    return taken
  }
  const taken: Record<string, number> = {}
  const helper = helperThat(SEEN, () => {
    if ('helper' in taken) return
    taken.one = from('198.51.100.1', 70)
    taken.many = Array.from({ length: 200 }, (_, n) => from(`198.18.0.${n}`)).filter((got) => got > 0).length
    taken.helper = from('1.1.1.1', 4)
    taken.tooMany = from('1.1.1.1')
  })
  const { reachability } = node({ connections: () => THREE, helper })
  await reachability.check()
  expect(taken).toEqual({ one: 4, many: 60, helper: 4, tooMany: 0 })
  for (const socket of sockets) socket.destroy()
})

test('a connection from a private address or with a nonce of nobody is not let in', async () => {
  const admitted: boolean[] = []
  const { reachability } = node({
    connections: () => THREE,
    helper: helperThat(SEEN, (nonce) => admitted.push(reachability.admits(nonce, { host: '192.168.1.7', port: 1 }))),
  })
  expect(await reachability.check()).toBe('private')
  expect(admitted).toEqual([false, false, false])
  expect(reachability.admits('00'.repeat(12), FROM_OUTSIDE)).toBe(false)
})

test('nobody is asked who could not tell: relayed, on this machine, on the LAN, of the same site', async () => {
  const { reachability, asked } = node({
    connections: () => [
      connectionTo('relayed', '/ip4/1.1.1.1/tcp/1/p2p/x/p2p-circuit', { relayed: true }),
      connectionTo('self', '/ip4/127.0.0.1/tcp/1'),
      connectionTo('lan', '/ip4/192.168.1.2/tcp/1'),
      connectionTo('cgnat', '/ip4/100.64.1.2/tcp/1'),
      connectionTo('link', '/ip6/fe80::1/tcp/1'),
      connectionTo('ula', '/ip6/fd00::1/tcp/1'),
      connectionTo('localhost', '/dns4/localhost/tcp/1'),
    ],
  })
  expect(await reachability.check()).toBe('unknown')
  expect(reachability.reason()).toContain('no directly connected peer')
  expect(asked).toEqual([])
})

test('three at most are asked, and one of each site', async () => {
  const { reachability, asked } = node({
    connections: () => [
      ...['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4'].map((host) => connectionTo(host, `/ip4/${host}/tcp/1`)),
      connectionTo('twin', '/ip4/1.1.1.1/tcp/2'),
    ],
    helper: helperThat({ declined: 'limited' }),
  })
  expect(await reachability.check()).toBe('unknown')
  expect(asked.length).toBe(3)
  expect(asked.includes('twin') && asked.includes('1.1.1.1')).toBe(false)
})

test.each([
  ['garbage', (stream: Stream) => void stream.end(Buffer.from([0, 0, 0, 2, 1, 2]))],
  ['nothing', (stream: Stream) => void stream.end()],
  ['a reset', (stream: Stream) => void stream.destroy(new Error('reset'))],
  ['too much', (stream: Stream) => void stream.end(Buffer.from([0, 1, 0, 0]))],
  ['a private address for this node', helperThat({ ...SEEN, seen: '10.0.0.1' })],
])('a helper that answers with %s tells nothing', async (_name, helper) => {
  const { reachability } = node({ connections: () => THREE, helper })
  expect(await reachability.check()).toBe('unknown')
})

test('a helper declines where it sees no public address of the asker, and asked too often', async () => {
  const clock = new ManualClock()
  let address = '/ip4/127.0.0.1/tcp/50000'
  const { reachability, served } = node({ clock, connections: () => [connectionTo('a', address)] })
  reachability.start()
  const ask = async (): Promise<unknown> => {
    const [asker, helper] = streamPair()
    const done = Promise.resolve(served.serve?.(helper))
    await sendMessage(asker, { probes: [{ port: 1, nonce: '00'.repeat(12) }] })
    const answer = parseAnswer((await readMessage(asker)) as Buffer)
    await done
    return answer
  }
  for (const local of ['127.0.0.1', '192.168.0.9', '100.64.0.9', '169.254.0.9']) {
    address = `/ip4/${local}/tcp/50000`
    expect(await ask()).toEqual({ declined: 'no_public_address' })
  }
  for (let asked = 4; asked < PEER_RATE.burst; asked++) await ask()
  expect(await ask()).toEqual({ declined: 'limited' })
  reachability.stop()
})

test('a request that is too long, too much, or for no port is not served', async () => {
  const { reachability, served } = node()
  reachability.start()
  const nonce = '00'.repeat(12)
  const requests: unknown[] = [
    {},
    { probes: [] },
    { probes: [{ port: 0, nonce }] },
    { probes: [{ port: 65_536, nonce }] },
    { probes: [{ port: 1, nonce: 'x' }] },
    { probes: Array.from({ length: 5 }, () => ({ port: 1, nonce })) },
    { probes: [{ port: 1, nonce }], more: 'x'.repeat(2_000) },
  ]
  for (const request of requests) {
    const [asker, helper] = streamPair()
    await sendMessage(asker, request as object)
    await expect(served.serve?.(helper)).rejects.toThrow(/message/)
  }
  reachability.stop()
})

test('no bytes make the parsers do anything but refuse', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bytes, (given) => {
      for (const parse of [parseRequest, parseAnswer]) {
        try {
          parse(given)
        } catch (error) {
          expect(error).toMatchObject({ code: 'message_malformed' })
        }
      }
    }),
  )
})

test('while nothing is checked, connections that begin like STUN are closed at once', async () => {
  const { reachability } = node()
  const listener = createServer((socket) => reachability.answerTcp(socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number }
  await expect(bindingTcp({ server: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'peer_unreachable' })
  await new Promise((resolve) => listener.close(resolve))
})

test('a forced answer holds, and nobody is asked', async () => {
  const { reachability, asked } = node({ connections: () => THREE, forced: () => 'public' })
  expect([reachability.reach(), await reachability.check()]).toEqual(['public', 'public'])
  expect(asked).toEqual([])
})

test('it is checked at the start, after a change, soon while unknown, and every half hour', async () => {
  const clock = new ManualClock()
  let connections: ConnectionInfo[] = []
  let isOpen = true
  const { reachability, asked } = node({
    clock,
    connections: () => connections,
    helper: (stream) => helperThat(SEEN, (nonce) => isOpen && reachability.admits(nonce, FROM_OUTSIDE))(stream),
  })
  const changes: string[] = []
  reachability.events.on('changed', ({ reach }) => changes.push(reach))
  reachability.start()
  /** Moves time, and waits for the check that it brings, which is one that can be joined. */
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await reachability.check()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await pass(2_000)
  expect(reachability.reach()).toBe('unknown')
  connections = [...THREE]
  await pass(UNKNOWN_RECHECK_MS)
  expect([asked.length, reachability.reach()]).toEqual([3, 'public'])
  isOpen = false
  await pass(RECHECK_MS)
  expect([asked.length, reachability.reach()]).toEqual([6, 'private'])
  connections = []
  await pass(RECHECK_MS)
  expect(reachability.reach()).toBe('private')
  reachability.changed()
  await pass(1_000)
  expect(reachability.reach()).toBe('unknown')
  expect(changes).toEqual(['public', 'private', 'unknown'])
  reachability.stop()
  clock.advance(RECHECK_MS)
  expect(asked.length).toBe(6)
})

test('a check that is not waited for any more goes on for others', async () => {
  const ends = new AbortController()
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { reachability } = node({
    connections: () => THREE,
    helper: async (stream) => {
      await held
      await helperThat(SEEN)(stream)
    },
  })
  const first = reachability.check(ends.signal)
  const second = reachability.check()
  ends.abort(new Error('enough'))
  await expect(first).rejects.toThrow('enough')
  release()
  expect(await second).toBe('private')
})
