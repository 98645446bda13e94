import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { STREAM_QUEUE_BYTES, STREAM_WINDOW_BYTES } from './constants.ts'
import { addressOf, withNetworks } from './fixtures/networks.ts'
import { readMessage, sendMessage } from './frames.ts'
import type { Network, Stream } from './types.ts'

const MIB = 1024 * 1024

/** Two connected nodes; gives both ends of a new stream. */
async function withStream(work: (near: Stream, far: Stream, near_: Network, far_: Network) => Promise<void>) {
  await withNetworks([{}, {}], async (a, b) => {
    const accepted = Promise.withResolvers<Stream>()
    b.handle('/test/1', (stream) => accepted.resolve(stream))
    await a.connect(addressOf(b))
    const near = await a.open(b.id, '/test/1')
    await work(near, await accepted.promise, a, b)
  })
}

function* chunksOf(bytes: number, fill: () => Buffer): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= 64 * 1024) yield fill()
}

async function digestOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

test('64 MiB in each direction at once arrive whole', async () => {
  await withStream(async (near, far) => {
    const send = async (stream: Stream): Promise<string> => {
      const hash = createHash('sha256')
      const source = function* () {
        for (const chunk of chunksOf(64 * MIB, () => randomBytes(64 * 1024))) {
          hash.update(chunk)
          yield chunk
        }
      }
      await pipeline(Readable.from(source()), stream, { end: true })
      return hash.digest('hex')
    }
    const finish = Promise.all([send(near), send(far)])
    const [received, sent] = await Promise.all([Promise.all([digestOf(far), digestOf(near)]), finish])
    expect(received).toEqual(sent)
  })
})

test('a reader that does not read stops the writer after a bounded number of bytes', async () => {
  await withStream(async (near, far) => {
    let taken = 0
    const chunk = Buffer.alloc(64 * 1024)
    const push = (): void => {
      near.write(chunk, (error) => {
        if (error) return
        taken += chunk.length
        push()
      })
    }
    push()
    await new Promise<void>((resolve) => {
      let before = -1
      const timer = setInterval(() => {
        if (taken === before) {
          clearInterval(timer)
          resolve()
        }
        before = taken
      }, 300)
    })
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThanOrEqual(2 * STREAM_WINDOW_BYTES + 2 * STREAM_QUEUE_BYTES)
    expect(far.readableLength).toBeLessThanOrEqual(STREAM_WINDOW_BYTES + STREAM_QUEUE_BYTES)
    const held = taken
    far.resume()
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (taken < held + 8 * MIB) return
        clearInterval(timer)
        resolve()
      }, 20)
    })
  })
})

test('a slow reader gets every byte, and never holds more than its queue and a window', async () => {
  await withStream(async (near, far) => {
    const total = 24 * MIB
    let received = 0
    let most = 0
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        received += chunk.length
        most = Math.max(most, far.readableLength)
        setImmediate(done)
      },
    })
    const sending = pipeline(Readable.from(chunksOf(total, () => Buffer.alloc(64 * 1024))), near)
    await Promise.all([pipeline(far, slow), sending])
    expect(received).toBe(total)
    expect(most).toBeLessThanOrEqual(STREAM_WINDOW_BYTES + STREAM_QUEUE_BYTES)
  })
})

test('a half that was closed leaves the other one open', async () => {
  await withStream(async (near, far) => {
    near.end('question')
    const asked = await far.toArray()
    expect(Buffer.concat(asked).toString()).toBe('question')
    far.end('answer')
    const answered = await near.toArray()
    expect(Buffer.concat(answered).toString()).toBe('answer')
  })
})

test('a stream that was answered and closed before its reader came still reads whole', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    b.handle('/test/1', (stream) => void stream.end('short'))
    await a.connect(addressOf(b))
    const stream = await a.open(b.id, '/test/1')
    await a.ping(b.id)
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('short')
    stream.end()
  })
})

for (const side of ['opener', 'acceptor'] as const) {
  test(`the ${side} that destroys a stream resets it for the other side`, async () => {
    await withStream(async (near, far) => {
      const [here, there] = side === 'opener' ? [near, far] : [far, near]
      here.write('begun')
      const failure = there.toArray().catch((error: unknown) => error)
      await once(there, 'readable')
      here.destroy()
      expect(await failure).toMatchObject({ code: 'stream_reset' })
    })
  })
}

test('a reset also reaches a side that only writes', async () => {
  await withStream(async (near, far) => {
    const failed = once(near, 'error')
    near.write(Buffer.alloc(8 * MIB))
    far.destroy(new Error('no more'))
    const [error] = await failed
    expect(error).toMatchObject({ code: 'stream_reset' })
  })
})

test('a stream cut by a node that stops fails, and never ends like a complete one', async () => {
  await withStream(async (near, far, a) => {
    near.write(Buffer.alloc(100_000))
    await once(far, 'readable')
    const failure = far.toArray().then(
      () => 'ended',
      (error: { code: string }) => error.code,
    )
    await a.stop()
    expect(['stream_reset', 'connection_lost']).toContain(await failure)
    expect(near.errored).toMatchObject({ code: 'connection_lost' })
  })
})

test('a stream cut by a disconnect fails on both sides', async () => {
  await withStream(async (near, far, a, b) => {
    near.write('begun')
    await once(far, 'readable')
    const failures = Promise.all(
      [near, far].map((stream) => stream.toArray().catch((error: { code: string }) => error.code)),
    )
    await a.disconnect(b.id)
    for (const code of await failures) expect(['stream_reset', 'connection_lost']).toContain(code)
  })
})

/** An HTTP server that does not listen, fed with the streams of a protocol. */
function serveHttp(network: Network, listener: http.RequestListener): http.Server {
  const server = http.createServer(listener)
  network.handle('/test/http/1', (stream) => void server.emit('connection', stream))
  return server
}

async function request(from: Network, to: Network, options: http.RequestOptions): Promise<http.ClientRequest> {
  const stream = await from.open(to.id, '/test/http/1')
  return http.request({ ...options, createConnection: () => stream, headers: { connection: 'close' } })
}

test('node:http works over a stream, bodies both ways', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    serveHttp(b, (incoming, response) => void incoming.pipe(response))
    await a.connect(addressOf(b))
    for (let round = 0; round < 3; round++) {
      const sent = await request(a, b, { method: 'POST', path: '/' })
      const body = randomBytes(3 * MIB)
      sent.end(body)
      const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
      expect(Buffer.concat(await response.toArray()).equals(body)).toBe(true)
    }
  })
})

test('an HTTP server over streams sees that a client has left', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const left = Promise.withResolvers<boolean>()
    serveHttp(b, (_incoming, response) => {
      response.write('begun\n')
      response.on('close', () => left.resolve(response.writableFinished))
    })
    await a.connect(addressOf(b))
    const sent = await request(a, b, { path: '/' })
    sent.end()
    const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
    await once(response, 'data')
    sent.on('error', () => undefined)
    sent.destroy()
    expect(await left.promise).toBe(false)
  })
})

test('an HTTP client over streams sees that the server has gone', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    serveHttp(b, (_incoming, response) => void response.write('begun\n'))
    await a.connect(addressOf(b))
    const sent = await request(a, b, { path: '/' })
    sent.end()
    const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
    await once(response, 'data')
    sent.on('error', () => undefined)
    const failed = once(response, 'error')
    await b.stop()
    expect((await failed)[0]).toBeInstanceOf(Error)
  })
})

test('a peer over the limit of streams is refused, and others are not', async () => {
  await withNetworks([{}, {}, {}], async (a, b, c) => {
    const open: Stream[] = []
    c.handle('/test/1', (stream) => void open.push(stream), { maxStreamsPerPeer: 2 })
    await a.connect(addressOf(c))
    await b.connect(addressOf(c))
    const streams = [await a.open(c.id, '/test/1'), await a.open(c.id, '/test/1')]
    const third = await a.open(c.id, '/test/1')
    expect(await third.toArray().catch((error: { code: string }) => error.code)).toBe('stream_reset')
    const other = await b.open(c.id, '/test/1')
    other.write('x')
    await once(open[2] as Stream, 'readable')
    streams[0]?.destroy()
    await new Promise((resolve) => open[0]?.once('close', resolve))
    const again = await a.open(c.id, '/test/1')
    again.write('y')
    await a.ping(c.id)
    expect(open).toHaveLength(4)
  })
})

test('a stream that both sides have ended counts no more, although its end was never read', async () => {
  await withNetworks([{}, {}], async (a, b) => {
    const answer = async (stream: Stream): Promise<void> => {
      await readMessage(stream, { maxBytes: 100 })
      await sendMessage(stream, { answer: true })
      stream.end()
    }
    b.handle('/test/1', answer, { maxStreamsPerPeer: 2 })
    await a.connect(addressOf(b))
    for (let round = 0; round < 6; round++) {
      const stream = await a.open(b.id, '/test/1')
      await sendMessage(stream, { round })
      expect((await readMessage(stream, { maxBytes: 100 }))?.toString()).toBe('{"answer":true}')
      stream.end()
      // By then the other side has heard of the end.
      await a.ping(b.id)
    }
  })
})
