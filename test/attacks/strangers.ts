/** Whoever has no network key: a plain libp2p node, one that speaks inside the secured channel, and a bare socket. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { identify } from '@libp2p/identify'
import type { ConnectionEncrypter, Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Daemon } from './daemon.ts'

type Encrypter = (components: never) => ConnectionEncrypter

/** The secured channels that a daemon offers. */
export const CHANNELS = { TLS: tls() as Encrypter, Noise: noise() as Encrypter } as const
/** The name of one of them. */
export type Channel = keyof typeof CHANNELS

/** Where a stranger's sockets come from on this machine, so that its share of connections is not that of the members. */
const STRANGERS_ADDRESS = '127.0.0.9'
const LISTEN_MS = 8_000

/** A libp2p node as anybody may run one, with no proof. It is started; whoever asks for it stops it. */
export async function plainNode(encrypter: Encrypter): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter] as never,
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  }) as unknown as Promise<Libp2p>
}

/** Says these things inside a secured channel, before any muxer, and gives all that is heard until it closes. */
export async function sayInChannel(daemon: Daemon, channel: Channel, sayings: readonly Buffer[]): Promise<Buffer> {
  const heard: Buffer[] = []
  const node = await plainNode(speaking(CHANNELS[channel], sayings, heard))
  try {
    await node.dial(multiaddr(daemon.address), { signal: AbortSignal.timeout(LISTEN_MS) }).catch(() => undefined)
  } finally {
    await node.stop()
  }
  return Buffer.concat(heard)
}

function speaking(inner: Encrypter, sayings: readonly Buffer[], heard: Buffer[]): Encrypter {
  return (components) => {
    const encrypter = inner(components)
    return Object.assign(Object.create(encrypter), {
      protocol: encrypter.protocol,
      secureOutbound: async (...args: Parameters<ConnectionEncrypter['secureOutbound']>) => {
        const { connection } = await encrypter.secureOutbound(...args)
        const closed = new Promise((resolve) => connection.addEventListener('close', resolve))
        connection.addEventListener('message', ({ data }) => heard.push(Buffer.from(data.subarray())))
        for (const saying of sayings) {
          if (connection.status === 'open') connection.send(saying)
          await new Promise(setImmediate)
        }
        await closed
        throw new Error('closed')
      },
    }) as ConnectionEncrypter
  }
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
