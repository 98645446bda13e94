import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createRouter, defineStream, implement, type Rights } from '../../api/index.ts'
import { silentLogger } from '../../base/log.ts'
import { rejectOnAbort } from '../../base/wait.ts'
import type { Network, Stream } from '../../net/index.ts'
import { openPeerDoor } from './peer-door.ts'

const forever = defineStream({
  method: 'GET',
  path: '/v1/forever',
  role: 'viewer',
  summary: 'Never ends',
  event: z.object({ n: z.number() }),
})

test.each([
  ['loses its role', { role: 'member', grants: [] }],
  [
    'gets another narrowed right',
    { role: 'viewer', grants: [{ role: 'viewer', apps: ['a'], services: null, expires: null }] },
  ],
  ['is no member any more', undefined],
] as [string, Rights | undefined][])('what a peer still reads ends when it %s', async (_what, later) => {
  let rights: Rights | undefined = { role: 'viewer', grants: [] }
  let serve: (stream: Stream) => void = () => undefined
  const network = {
    handle: (_protocol: string, handler: typeof serve) => {
      serve = handler
      return () => undefined
    },
  } as unknown as Network
  const route = implement(forever, async function* ({ signal }) {
    yield { n: 1 }
    await rejectOnAbort(signal)
  })
  const close = openPeerDoor({
    network,
    router: createRouter({ routes: [route], log: silentLogger }),
    rightsOf: () => rights,
    whenExchanged: async () => undefined,
    rightsCheckMs: 20,
  })
  const server = createServer((socket) => serve(Object.assign(socket, { peer: 'eve', protocol: '/warren/api/1' })))
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET /v1/forever HTTP/1.1\r\nHost: warren\r\n\r\n')
    const [first] = await once(socket, 'data')
    expect(String(first)).toContain('200 OK')
    rights = later
    const closed = once(socket, 'close')
    socket.on('error', () => undefined).resume()
    await closed
  } finally {
    close()
    server.close()
  }
})
