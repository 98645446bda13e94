import type { MultiaddrConnection, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { fairly } from './fair-muxer.ts'

test('each stream comes first sometimes, and none is lost, when the connection has room again', () => {
  const connection = new EventTarget()
  const streams = Array.from({ length: 5 }, (_, index) => ({ id: `${index}` }))
  const muxer = { streams: [...streams] } as unknown as StreamMuxer
  const factory: StreamMuxerFactory = { protocol: '/yamux/1.0.0', createStreamMuxer: () => muxer }
  const fair = fairly(() => factory)(undefined)
  expect(fair.protocol).toBe('/yamux/1.0.0')
  expect(fair.createStreamMuxer(connection as unknown as MultiaddrConnection)).toBe(muxer)
  const first = new Map<string, number>()
  for (let drain = 0; drain < 1_000; drain++) {
    connection.dispatchEvent(new Event('drain'))
    const id = muxer.streams[0]?.id as string
    first.set(id, (first.get(id) ?? 0) + 1)
    expect(new Set(muxer.streams.map((stream) => stream.id)).size).toBe(5)
  }
  // 200 times each on average; below 100 about once in a thousand million million runs.
  expect([...first.values()].filter((times) => times >= 100)).toHaveLength(5)
})
