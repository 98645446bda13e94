import { expect, test } from 'vitest'
import { addressOf, withNetworks } from '../fixtures/networks.ts'
import type { Stream } from '../types.ts'

const TOTAL = 200_000_000
const CHUNK = Buffer.alloc(256 * 1024, 7)
/** A window, the queues of both streams, and what the kernel keeps. */
const MOST_TAKEN = 16 * 1024 * 1024
/** Of both ends, which share this process, with room for what the collector has not looked at yet. */
const MOST_GROWTH = 64 * 1024 * 1024

/** Writes all as fast as the stream takes it, and counts. */
function flood(stream: Stream, taken: { bytes: number }): void {
  const more = (): void => {
    while (taken.bytes < TOTAL) {
      const part = CHUNK.subarray(0, Math.min(CHUNK.length, TOTAL - taken.bytes))
      taken.bytes += part.length
      if (!stream.write(part)) return void stream.once('drain', more)
    }
    stream.end()
  }
  more()
}

/** Resolves once a count has not changed for a while. */
async function settled(taken: { bytes: number }): Promise<void> {
  for (let [last, still] = [-1, 0]; still < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    still = taken.bytes === last ? still + 1 : 0
    last = taken.bytes
  }
}

test.each(['tls', 'noise', 'websocket'] as const)(
  '200 MB for a reader that sleeps stay with the writer over %s, and come whole when it wakes',
  async (way) => {
    await withNetworks([{}, { transports: [way] }], async (a, b) => {
      const taken = { bytes: 0 }
      a.handle('/test/flood/1', (stream) => flood(stream, taken))
      await b.connect(addressOf(a))
      const before = process.memoryUsage.rss()
      const stream = await b.open(a.id, '/test/flood/1')
      await settled(taken)
      expect(taken.bytes).toBeGreaterThan(0)
      expect(taken.bytes).toBeLessThan(MOST_TAKEN)
      expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_GROWTH)
      let got = 0
      for await (const part of stream) got += part.length
      expect(got).toBe(TOTAL)
    })
  },
)
