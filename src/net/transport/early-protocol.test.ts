import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { EARLY } from '../constants.ts'
import { securedNode } from '../fixtures/secured.ts'
import { wrapStream } from '../stream.ts'
import type { Stream } from '../types.ts'
import { frugalYamux } from './index.ts'

const ECHO = '/test/echo/1'

/** Opens a stream to a node that echoes, and gives it to `work`. */
async function withStream(protocol: string, work: (stream: Stream) => Promise<void>): Promise<void> {
  const [server, client] = await Promise.all([
    securedNode({ over: 'TLS', muxer: frugalYamux }),
    securedNode({ over: 'TLS', muxer: frugalYamux, listens: false }),
  ])
  try {
    await server.handle(ECHO, (inner) => {
      const stream = wrapStream(inner, { peer: '', protocol: ECHO })
      stream.pipe(stream)
    })
    const connection = await client.dial(multiaddr(server.getMultiaddrs()[0]?.toString() as string))
    const inner = await connection.newStream(protocol, { ...EARLY, runOnLimitedConnection: true })
    expect(inner.protocol).toBe(protocol)
    await work(wrapStream(inner, { peer: 'office', protocol }))
  } finally {
    await Promise.all([server.stop(), client.stop()])
  }
}

test('what is sent at once arrives, and comes back without what the protocol was agreed on with', async () => {
  const bytes = Buffer.alloc(300_000, 'early ')
  await withStream(ECHO, async (stream) => {
    stream.end(bytes)
    expect(Buffer.concat(await stream.toArray()).equals(bytes)).toBe(true)
  })
})

test('a protocol that the other side does not speak ends the stream with that', async () => {
  await withStream('/test/nobody/1', async (stream) => {
    stream.write('hello')
    await expect(stream.toArray()).rejects.toMatchObject({ code: 'protocol_unsupported' })
  })
})
