import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, test } from 'vitest'
import { readJsonBody } from './request-body.ts'

test('a body that does not come to its end is given up, so that nobody keeps what was read of it', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const failed = new Promise<unknown>((resolve) => {
    server.once('request', (request) => {
      readJsonBody(request, { timeoutMs: 50 }).then(resolve, resolve)
    })
  })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  try {
    socket.on('error', () => undefined)
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"a":')
    expect(await failed).toMatchObject({ code: 'connection_lost' })
    await once(socket, 'close')
  } finally {
    socket.destroy()
    server.close()
  }
})
