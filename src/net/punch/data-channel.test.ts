import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { DataChannels, dataChannelLibrary } from './data-channel.ts'
import { channelPair } from './fixtures/data-channels.ts'

const isThere = dataChannelLibrary() !== undefined
if (!isThere) process.stderr.write('skipped: data channels (the optional package node-datachannel is not installed)\n')

const children = (): number => process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap').length

async function withChannels(work: (a: Duplex, b: Duplex, channels: DataChannels) => Promise<void>): Promise<void> {
  const before = children()
  const channels = new DataChannels()
  const [a, b] = await channelPair(channels, AbortSignal.timeout(60_000))
  try {
    await work(a, b, channels)
  } finally {
    a.destroy()
    b.destroy()
  }
  await expect.poll(children).toBeLessThanOrEqual(before)
}

/** A loop over it would destroy it at its end, with what it still has to write. */
async function readAll(stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  await once(stream, 'end')
  return Buffer.concat(parts)
}

test.runIf(isThere)('bytes arrive whole and in order both ways, and an end is an end', async () => {
  await withChannels(async (a, b) => {
    const [there, back] = [randomBytes(3_000_000), randomBytes(1_000_000)]
    a.end(there)
    b.end(back)
    const [gotThere, gotBack] = await Promise.all([readAll(b), readAll(a)])
    expect(gotThere.equals(there)).toBe(true)
    expect(gotBack.equals(back)).toBe(true)
  })
})

test.runIf(isThere)('a writer waits for a slow reader, whatever it has to say', async () => {
  await withChannels(async (a, b) => {
    b.pause()
    let written = 0
    const chunk = Buffer.alloc(64 * 1024)
    // Window, pipes and queues of both processes together hold a few MB; without an end to it this would go on for good.
    const stuck = async (): Promise<boolean> => {
      while (written < 64 * 1024 * 1024) {
        written += chunk.length
        if (!a.write(chunk) && (await Promise.race([once(a, 'drain').then(() => false), delay(2_000, true)])))
          return true
      }
      return false
    }
    expect(await stuck()).toBe(true)
    expect(written).toBeLessThan(16 * 1024 * 1024)
    let read = 0
    b.resume()
    b.on('data', (part: Buffer) => {
      read += part.length
    })
    await expect.poll(() => read).toBe(written)
  })
})

test.runIf(isThere)('opened and closed again and again, also in the middle, no process stays', async () => {
  const before = children()
  const channels = new DataChannels()
  for (let n = 0; n < 6; n++) {
    // Processes end in a moment, and each takes its place until then.
    await expect.poll(() => channels.canOpen('first') && channels.canOpen('second')).toBe(true)
    const ended = new AbortController()
    const opening = channelPair(channels, ended.signal)
    opening.catch(() => undefined)
    if (n % 2 === 0) {
      await delay(n * 30)
      ended.abort(new Error('enough'))
      await expect(opening).rejects.toThrow()
    } else for (const channel of await opening) channel.destroy()
  }
  await expect.poll(children).toBeLessThanOrEqual(before)
})

test.runIf(isThere)('a process that dies takes its channel with it and nothing else', async () => {
  await withChannels(async (a, b, channels) => {
    const closed = Promise.all([once(a, 'close'), once(b, 'close')])
    for (const each of [a, b]) each.resume()
    channels.stop()
    await closed
    expect(channels.canOpen('first')).toBe(true)
  })
})

test.runIf(isThere)('one peer gets three data channels, and leaves room for the others', async () => {
  await withChannels(async (_a, _b, channels) => {
    expect(channels.canOpen('first')).toBe(true)
    const more = [await channelPair(channels, AbortSignal.timeout(20_000))]
    more.push(await channelPair(channels, AbortSignal.timeout(20_000)))
    expect(['first', 'second', 'third'].map((peer) => channels.canOpen(peer))).toEqual([false, false, true])
    await expect(channelPair(channels, AbortSignal.timeout(20_000))).rejects.toThrow('data channels')
    for (const each of more.flat()) each.destroy()
    await expect.poll(() => channels.canOpen('first'), { timeout: 20_000 }).toBe(true)
  })
})

test('a signal that has fired starts nothing', async () => {
  const before = children()
  const init = { peer: 'first', isFirst: true, localPort: 9, remote: { host: '127.0.0.1', port: 9 } }
  const never = { describe: async () => undefined, described: () => new Promise<never>(() => undefined) }
  await expect(
    new DataChannels().open({ ...init, ...never, signal: AbortSignal.abort(new Error('over')) }),
  ).rejects.toThrow()
  expect(children()).toBeLessThanOrEqual(before)
})
