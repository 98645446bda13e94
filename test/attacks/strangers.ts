/** Whoever has no network key: a plain libp2p node, one that speaks inside the secured channel, and a bare socket. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { type Channel, securedNode } from '../../src/net/fixtures/secured.ts'
import type { Daemon } from './daemon.ts'

/** Where a stranger's sockets come from on this machine, so that its share of connections is not that of the members. */
const STRANGERS_ADDRESS = '127.0.0.9'
const LISTEN_MS = 8_000

/** Says these things inside a secured channel, before any muxer, and gives all that is heard until it closes. */
export async function sayInChannel(daemon: Daemon, channel: Channel, sayings: readonly Buffer[]): Promise<Buffer> {
  const heard: Buffer[] = []
  const node = await securedNode({
    over: channel,
    listens: false,
    talk: async ({ channel: inside }) => {
      const closed = new Promise((resolve) => inside.addEventListener('close', resolve))
      inside.addEventListener('message', ({ data }) => heard.push(Buffer.from(data.subarray())))
      for (const saying of sayings) {
        if (inside.status === 'open') inside.send(saying)
        await new Promise(setImmediate)
      }
      await closed
      throw new Error('closed')
    },
  })
  try {
    await node.dial(multiaddr(daemon.address), { signal: AbortSignal.timeout(LISTEN_MS) }).catch(() => undefined)
  } finally {
    await node.stop()
  }
  return Buffer.concat(heard)
}

/** A bare connection to a daemon's port, which errors do not end the process. */
export async function openSocket(daemon: Daemon): Promise<Socket> {
  const socket = connect({ port: daemon.port, host: '127.0.0.1', localAddress: STRANGERS_ADDRESS })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Says bytes on a bare connection and gives what is heard until it closes or has been silent for a while. */
export async function sayOnSocket(daemon: Daemon, sayings: readonly Buffer[], silenceMs: number): Promise<Buffer> {
  const socket = await openSocket(daemon)
  const heard: Buffer[] = []
  socket.on('data', (part) => heard.push(part))
  const over = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.setTimeout(silenceMs, resolve)
  })
  for (const saying of sayings) {
    if (!socket.destroyed) socket.write(saying)
    await new Promise(setImmediate)
  }
  await over
  socket.destroy()
  return Buffer.concat(heard)
}

/** A message of multistream-select: its length, the text, a new line. */
export function multistream(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length + 1), Buffer.from(`${text}\n`)])
}

/** A message of the membership proof: its length and its body. */
export function proofMessage(body: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(body.length)
  return Buffer.concat([length, body])
}
