import { once } from 'node:events'
import { type Duplex, duplexPair, Writable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readMessage, readMessages, sendMessage, sendParts } from './frames.ts'

const message = fc.uint8Array({ maxLength: 5_000 })

/** A stream that gets `bytes` in pieces of the given sizes and then ends. */
function inPieces(bytes: Buffer, sizes: number[]): Duplex {
  const [near, far] = duplexPair()
  let at = 0
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] as number
    near.write(bytes.subarray(at, at + size))
    at += size
  }
  near.end()
  return far
}

async function encoded(messages: readonly Uint8Array[]): Promise<Buffer> {
  const [near, far] = duplexPair()
  for (const one of messages) await sendMessage(near, one)
  near.end()
  return Buffer.concat(await far.toArray())
}

test('messages come out as they went in, however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 5 }),
      async (messages, sizes) => {
        const stream = inPieces(await encoded(messages), sizes)
        const received: Buffer[] = []
        for await (const one of readMessages(stream)) received.push(one)
        expect(received.map((one) => [...one])).toEqual(messages.map((one) => [...one]))
      },
    ),
    { numRuns: 60 },
  )
})

test('a stream cut inside a message fails, and one cut between two ends', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 4 }), fc.nat(), async (messages, cut) => {
      const bytes = await encoded(messages)
      const at = cut % (bytes.length + 1)
      let edge = 0
      const edges = [0, ...messages.map((one) => (edge += 4 + one.length))]
      const reading = (async () => {
        let count = 0
        for await (const _ of readMessages(inPieces(bytes.subarray(0, at), [1_000]))) count++
        return count
      })()
      if (edges.includes(at)) expect(await reading).toBe(edges.indexOf(at))
      else await expect(reading).rejects.toMatchObject({ code: 'message_incomplete' })
    }),
    { numRuns: 60 },
  )
})

test('a message given in parts arrives as one', async () => {
  const part = fc.oneof(
    message,
    fc.integer({ min: 8_000, max: 40_000 }).map((size) => new Uint8Array(size).fill(size)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 4 }), async (parts) => {
      const [near, far] = duplexPair()
      const sent = sendParts(near, parts)
      expect(await readMessage(far)).toEqual(Buffer.concat(parts))
      await sent
    }),
    { numRuns: 60 },
  )
})

test('the parts of a long message are handed on without a copy', async () => {
  const written: unknown[] = []
  const stream = new Writable({
    writev(chunks, done) {
      written.push(...chunks.map(({ chunk }) => chunk))
      done()
    },
  })
  const long = Buffer.alloc(100_000)
  await sendParts(stream, [Buffer.from('head'), long])
  expect(written.at(-1)).toBe(long)
})

test('an object travels as JSON', async () => {
  const [near, far] = duplexPair()
  await sendMessage(near, { kind: 'hello', count: 2 })
  expect(JSON.parse(String(await readMessage(far)))).toEqual({ kind: 'hello', count: 2 })
})

test('a message over the limit is refused by its length, before its bytes have come', async () => {
  const [near, far] = duplexPair()
  const length = Buffer.alloc(4)
  length.writeUInt32BE(0xffff_ffff)
  near.write(length)
  await expect(readMessage(far)).rejects.toMatchObject({ code: 'message_too_large' })
  const [nearer, farther] = duplexPair()
  await sendMessage(nearer, Buffer.alloc(11))
  await expect(readMessage(farther, { maxBytes: 10 })).rejects.toMatchObject({ code: 'message_too_large' })
})

test('a message as long as the limit arrives', async () => {
  const [near, far] = duplexPair()
  const sent = sendMessage(near, Buffer.alloc(1024 * 1024, 5))
  expect((await readMessage(far))?.length).toBe(1024 * 1024)
  await sent
})

test('bytes after a message are left for the next reader', async () => {
  const [near, far] = duplexPair()
  await sendMessage(near, { length: 3 })
  near.end('raw')
  await readMessage(far)
  expect(Buffer.concat(await far.toArray()).toString()).toBe('raw')
})

test('waiting for a message ends with the signal and leaves the stream open', async () => {
  const [near, far] = duplexPair()
  const stop = new AbortController()
  const waiting = readMessage(far, { signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await sendMessage(near, Buffer.from('later'))
  expect(String(await readMessage(far))).toBe('later')
})

test('a stream that fails while a message is awaited gives its own error', async () => {
  const [, far] = duplexPair()
  const waiting = readMessage(far)
  far.on('error', () => undefined)
  far.destroy(new Error('broken'))
  await expect(waiting).rejects.toThrow('broken')
  await expect(readMessage(far)).rejects.toThrow('broken')
})

test('sending waits for a reader that is behind', async () => {
  const [near, far] = duplexPair({ highWaterMark: 1_000 })
  let sent = 0
  const sending = (async () => {
    for (; sent < 20; sent++) await sendMessage(near, Buffer.alloc(1_000))
    near.end()
  })()
  await once(far, 'readable')
  expect(sent).toBeLessThan(20)
  let count = 0
  for await (const _ of readMessages(far)) count++
  await sending
  expect(count).toBe(20)
})
