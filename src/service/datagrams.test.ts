import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../base/clock.ts'
import { DatagramQueue, DatagramReader, encodeDatagram, startFlow } from './datagrams.ts'

test('datagrams come out of a stream as they went in, however its bytes are cut', () => {
  const datagrams = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
  fc.assert(
    fc.property(datagrams, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(encodeDatagram))
      const reader = new DatagramReader()
      const came: Buffer[] = []
      let at = 0
      for (let turn = 0; at < bytes.length; turn++) {
        const size = cuts[turn % cuts.length] as number
        came.push(...reader.read(bytes.subarray(at, at + size)))
        at += size
      }
      expect(came.map((each) => [...each])).toEqual(sent.map((each) => [...each]))
    }),
  )
})

test('a length that no datagram can have is refused before its bytes have come', () => {
  expect(() => new DatagramReader().read(Buffer.from([0xff, 0xff]))).toThrow(
    expect.objectContaining({ code: 'service_malformed' }),
  )
})

test('a full queue drops the oldest, and never what has just come', () => {
  const queue = new DatagramQueue(30)
  for (const letter of 'abcd') queue.push(Buffer.from(letter.repeat(8)))
  expect(queue.dropped).toBe(1)
  expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()].map(String)).toEqual([
    'bbbbbbbb',
    'cccccccc',
    'dddddddd',
    'undefined',
  ])
  queue.push(Buffer.alloc(100))
  expect(queue.shift()).toHaveLength(100)
})

test('a reader that sleeps keeps what waits below its bound; a flow without datagrams ends', async () => {
  const clock = new ManualClock()
  const [near, far] = duplexPair({ highWaterMark: 1024 })
  const flow = startFlow(near, { deliver: () => undefined, idleMs: 60_000, clock })
  for (let count = 0; count < 2000; count++) flow.send(Buffer.alloc(1000))
  expect(near.writableLength).toBeLessThan(4096)
  expect(flow.dropped).toBeGreaterThan(1700)
  clock.advance(59_000)
  expect(near.destroyed).toBe(false)
  flow.send(Buffer.from('sign of life'))
  clock.advance(59_000)
  expect(near.destroyed).toBe(false)
  clock.advance(2_000)
  expect(near.destroyed).toBe(true)
  far.destroy()
})
