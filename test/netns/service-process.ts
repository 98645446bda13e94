/**
 * Both sides of a service that needs each half of its connection: the server answers what it got (length and SHA-256) when
 * the client has ended its half, and then sends as many bytes itself. Datagrams come back as they are.
 *
 *     service-process.ts serve PORT             prints a line when it listens (TCP and UDP, loopback)
 *     service-process.ts send PORT BYTES        prints what both sides saw, as JSON
 *     service-process.ts datagrams PORT COUNT   prints how many came back, as JSON
 */
import { createHash } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HOST = '127.0.0.1'
const CHUNK_BYTES = 256 * 1024
/** From one datagram to the next. */
const DATAGRAM_MS = 5
/** Longer than any way in a test net. */
const LAST_ANSWER_MS = 1000
const ANSWER_END = '\n'

interface Seen {
  readonly bytes: number
  readonly sha256: string
}

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
const [mode, port, amount] = process.argv.slice(2)
if (mode === 'serve') await serve(Number(port))
else if (mode === 'send') say(await send(Number(port), Number(amount)))
else say(await sendDatagrams(Number(port), Number(amount)))

async function serve(at: number): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    answer(socket).catch(() => socket.destroy())
  }).listen(at, HOST)
  const datagrams = dgram.createSocket('udp4')
  datagrams.on('message', (data, from) => datagrams.send(data, from.port, from.address))
  datagrams.bind(at, HOST)
  await Promise.all([once(server, 'listening'), once(datagrams, 'listening')])
  say({ listening: at })
}

async function answer(socket: Socket): Promise<void> {
  const seen = await read(socket)
  socket.write(JSON.stringify(seen) + ANSWER_END)
  await write(socket, seen.bytes)
  socket.end()
}

/** Sends, ends its half, and only then is answered. */
async function send(to: number, bytes: number): Promise<{ sent: Seen; there: Seen; here: Seen }> {
  const socket = connect({ port: to, host: HOST, allowHalfOpen: true })
  const sent = await write(socket, bytes)
  socket.end()
  let head = ''
  const rest = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      const end = head.includes(ANSWER_END) ? -1 : chunk.indexOf(ANSWER_END)
      if (head.includes(ANSWER_END)) yield chunk
      else if (end === -1) head += chunk
      else {
        head += chunk.subarray(0, end + 1)
        yield chunk.subarray(end + 1)
      }
    }
  }
  const here = await read(rest())
  return { sent, there: JSON.parse(head) as Seen, here }
}

/** Bytes of which no two blocks are the same. */
async function write(socket: Socket, bytes: number): Promise<Seen> {
  const hash = createHash('sha256')
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes - at), `block ${at} `)
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function read(source: AsyncIterable<Buffer>): Promise<Seen> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of source) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Until all are back, or nothing comes any more. */
async function sendDatagrams(to: number, count: number): Promise<{ sent: number; back: number; wrong: number }> {
  const socket = dgram.createSocket('udp4')
  const back = new Set<string>()
  let wrong = 0
  const all = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      const text = data.toString()
      if (/^datagram \d+ x{1000}$/.test(text)) back.add(text)
      else wrong++
      if (back.size === count) resolve()
    })
  })
  for (let index = 0; index < count; index++) {
    socket.send(`datagram ${index} ${'x'.repeat(1000)}`, to, HOST)
    await sleep(DATAGRAM_MS)
  }
  await Promise.race([all, sleep(LAST_ANSWER_MS)])
  socket.close()
  return { sent: count, back: back.size, wrong }
}
