import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { Counters } from '../base/counters.ts'
import { MAY_SERVE_TIMEOUT_MS } from './constants.ts'
import { addressOf, nextEvent, withNetworks } from './fixtures/networks.ts'
import type { NetworkInit, Stream } from './types.ts'

const echo = (stream: Stream): void => void stream.pipe(stream)

async function asked(
  network: { open: (peer: string, protocol: string) => Promise<Stream> },
  peer: string,
  what: string,
) {
  const stream = await network.open(peer, what)
  stream.end('hello')
  return Buffer.concat(await stream.toArray()).toString()
}

test('a peer that may not be served has its streams reset, and is heard of; what is always served is not asked for', async () => {
  const counters = new Counters()
  const questions: [string, string][] = []
  const mayServe: NetworkInit['mayServe'] = (...question) => {
    questions.push(question)
    return false
  }
  await withNetworks([{ mayServe, counters }, {}], async (a, b) => {
    a.handle('/apps/1', echo)
    a.handle('/exchange/1', echo, { always: true })
    await b.connect(addressOf(a))
    const heard = nextEvent(a, 'served_refused')
    await expect(asked(b, a.id, '/apps/1')).rejects.toMatchObject({ code: 'stream_reset' })
    expect(await heard).toEqual({ peer: b.id, protocol: '/apps/1' })
    expect(counters.get('net_streams_refused', { protocol: '/apps/1' })).toBe(1)
    expect(await asked(b, a.id, '/exchange/1')).toBe('hello')
    expect(await b.ping(a.id)).toBeGreaterThan(0)
    expect(questions).toEqual([[b.id, '/apps/1']])
  })
})

test('bytes wait while the answer does, and none is lost', async () => {
  const verdict = Promise.withResolvers<boolean>()
  await withNetworks([{ mayServe: () => verdict.promise }, {}], async (a, b) => {
    a.handle('/apps/1', echo)
    await b.connect(addressOf(a))
    const stream = await b.open(a.id, '/apps/1')
    const sent = Buffer.alloc(100_000, 'abc')
    stream.end(sent)
    const echoed = stream.toArray()
    await b.ping(a.id)
    verdict.resolve(true)
    expect(Buffer.concat(await echoed).equals(sent)).toBe(true)
  })
})

test('a peer that sends on while the answer waits is stopped by the window', async () => {
  const verdict = Promise.withResolvers<boolean>()
  await withNetworks([{ mayServe: () => verdict.promise }, {}], async (a, b) => {
    let received = 0
    a.handle('/apps/1', async (stream) => {
      for await (const chunk of stream) received += (chunk as Buffer).length
      stream.end()
    })
    await b.connect(addressOf(a))
    const stream = await b.open(a.id, '/apps/1')
    let written = 0
    const write = (): void => {
      while (written < 16 * 1024 * 1024) {
        written += 65_536
        if (!stream.write(Buffer.alloc(65_536))) return void stream.once('drain', write)
      }
      stream.end()
    }
    write()
    let before = -1
    while (before !== written) {
      before = written
      for (let count = 0; count < 5; count++) await b.ping(a.id)
    }
    expect(written).toBeLessThan(4 * 1024 * 1024)
    expect(received).toBe(0)
    verdict.resolve(true)
    await stream.resume().toArray()
    expect(received).toBe(written)
  })
})

test('no answer in time, or one that fails, is a no', async () => {
  const clock = new ManualClock()
  const asking = Promise.withResolvers<void>()
  const counters = new Counters()
  const mayServe: NetworkInit['mayServe'] = (_peer, protocol) => {
    if (protocol === '/throws/1') throw new Error('a mistake')
    if (protocol === '/rejects/1') return Promise.reject(new Error('a mistake'))
    asking.resolve()
    return new Promise(() => undefined)
  }
  await withNetworks([{ mayServe, counters, clock }, {}], async (a, b) => {
    const protocols = ['/throws/1', '/rejects/1', '/never/1']
    for (const protocol of protocols) a.handle(protocol, echo)
    await b.connect(addressOf(a))
    for (const protocol of protocols) {
      const refused = asked(b, a.id, protocol).catch((error: { code: string }) => error.code)
      if (protocol === '/never/1') {
        await asking.promise
        clock.advance(MAY_SERVE_TIMEOUT_MS)
      }
      expect(await refused).toBe('stream_reset')
      expect(counters.get('net_streams_refused', { protocol })).toBe(1)
    }
  })
})

test('a stream that waits counts for its peer, and one that was given up meanwhile is not served', async () => {
  const counters = new Counters()
  const verdict = Promise.withResolvers<boolean>()
  await withNetworks([{ mayServe: () => verdict.promise, counters }, {}], async (a, b) => {
    let served = 0
    a.handle(
      '/apps/1',
      (stream) => {
        served += 1
        echo(stream)
      },
      { maxStreamsPerPeer: 2 },
    )
    await b.connect(addressOf(a))
    const [kept, given] = [await b.open(a.id, '/apps/1'), await b.open(a.id, '/apps/1')]
    await expect(asked(b, a.id, '/apps/1')).rejects.toMatchObject({ code: 'stream_reset' })
    given.destroy()
    await b.ping(a.id)
    const again = await b.open(a.id, '/apps/1')
    verdict.resolve(true)
    for (const stream of [kept, again]) {
      stream.end('x')
      expect(Buffer.concat(await stream.toArray()).toString()).toBe('x')
    }
    expect(served).toBe(2)
    expect(counters.get('net_streams_refused', { protocol: '/apps/1' })).toBe(1)
  })
})
