import type { Connection } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { securedNode } from '../fixtures/secured.ts'
import { wrapStream } from '../stream.ts'
import { frugalYamux } from './index.ts'

const TOTAL = 32 * 1024 * 1024
const CHUNK = Buffer.alloc(256 * 1024, 3)

/** How many frames the reader of 32 MiB sends with this muxer on its side, and how many bytes came. */
async function framesOfReader(muxer: typeof frugalYamux, sender: typeof frugalYamux) {
  const [writer, reader] = await Promise.all([
    securedNode({ over: 'TLS', muxer: sender }),
    securedNode({ over: 'TLS', muxer, listens: false }),
  ])
  try {
    await writer.handle('/test/flood/1', (inner) => {
      const stream = wrapStream(inner, { peer: '', protocol: '' })
      for (let left = TOTAL; left > 0; left -= CHUNK.length) stream.write(CHUNK)
      stream.end()
    })
    const connection = await reader.dial(multiaddr(writer.getMultiaddrs()[0]?.toString() as string))
    const inner = await connection.newStream('/test/flood/1')
    const { maConn } = connection as Connection & { maConn: { sendData(data: unknown): unknown } }
    const sendData = maConn.sendData.bind(maConn)
    let frames = 0
    maConn.sendData = (data) => {
      frames += 1
      return sendData(data)
    }
    let bytes = 0
    for await (const part of wrapStream(inner, { peer: '', protocol: '' })) bytes += part.length
    return { frames, bytes }
  } finally {
    await Promise.all([writer.stop(), reader.stop()])
  }
}

const stock = yamux as unknown as typeof frugalYamux

test('a reader says seldom what it has read', async () => {
  const frugal = await framesOfReader(frugalYamux, frugalYamux)
  const library = await framesOfReader(stock, frugalYamux)
  expect(frugal.bytes).toBe(TOTAL)
  expect(library.bytes).toBe(TOTAL)
  // Half a window of 1 MiB at a time, and a few while it grows.
  expect(frugal.frames).toBeLessThan(TOTAL / (512 * 1024) + 40)
  expect(library.frames).toBeGreaterThan(4 * frugal.frames)
})

test.each([
  ['reads from', frugalYamux, stock],
  ['writes to', stock, frugalYamux],
])('it %s the library as it is', async (_name, reader, writer) => {
  expect((await framesOfReader(reader, writer)).bytes).toBe(TOTAL)
})
