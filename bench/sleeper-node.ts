/**
 * The ends of a proxy whose reader sleeps, for network namespaces where the bench itself is not:
 *
 *     sleeper-node.ts flood PORT BYTES   sends so much to who connects, and tells all the time how much it could write
 *     sleeper-node.ts read PORT          connects, reads nothing until a line comes on its input, then tells how much came
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

const HOST = '127.0.0.1'
const CHUNK = Buffer.alloc(256 * 1024, 'x')
const TELL_MS = 250
const [mode, port, amount] = process.argv.slice(2)

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

if (mode === 'flood') await flood(Number(port), Number(amount))
else await read(Number(port))

async function flood(at: number, bytes: number): Promise<void> {
  let written = 0
  const server = createServer(async (socket) => {
    socket.on('error', () => undefined)
    written = 0
    while (written < bytes && !socket.destroyed) {
      written += CHUNK.length
      if (!socket.write(CHUNK)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
    }
    socket.end()
  }).listen(at, HOST)
  await once(server, 'listening')
  setInterval(() => say({ written }), TELL_MS)
}

async function read(to: number): Promise<void> {
  const socket = connect({ port: to, host: HOST })
  socket.pause()
  await once(socket, 'connect')
  say({ connected: true })
  await once(process.stdin, 'data')
  let bytes = 0
  for await (const chunk of socket) bytes += (chunk as Buffer).length
  say({ read: bytes })
  process.exit(0)
}
