import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { MAX_PENDING_PER_SOURCE } from '../constants.ts'
import { netErrors } from '../errors.ts'
import { PendingConnections } from '../pending.ts'
import { type SecuredChannel, talkingEncrypter } from '../talking-encrypter.ts'
import { type Doors, PortTransport, type Way } from './index.ts'

interface NodeOptions {
  listen?: string
  ways?: readonly Way[]
  doors?: Doors
  talk?: (secured: SecuredChannel) => Promise<void>
}

interface Node {
  host: Libp2p
  transport: PortTransport
  address: string
}

async function node({ listen, ways = ['tls', 'noise', 'websocket'], doors, talk }: NodeOptions = {}): Promise<Node> {
  const privateKey = await generateKeyPair('Ed25519')
  const secured = new WeakSet<object>()
  const held = talk ?? (() => Promise.resolve())
  let transport: PortTransport | undefined
  const host = (await createLibp2p({
    privateKey,
    addresses: { listen: listen === undefined ? [] : [listen] },
    transports: [
      (parts: ConstructorParameters<typeof PortTransport>[0]) => {
        transport = new PortTransport(parts, {
          privateKey,
          talk: held,
          ways,
          wasSecured: (connection) => secured.has(connection),
          pending: new PendingConnections(systemClock),
          doors,
        })
        return transport
      },
    ],
    connectionEncrypters: [talkingEncrypter(noise(), held, { onSecured: (connection) => secured.add(connection) })],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 500 },
  })) as unknown as Libp2p
  return { host, transport: transport as unknown as PortTransport, address: host.getMultiaddrs()[0]?.toString() ?? '' }
}

async function withNodes(options: NodeOptions[], work: (...nodes: Node[]) => Promise<void>): Promise<void> {
  const nodes = await Promise.all(options.map((one) => node(one)))
  try {
    await work(...nodes)
  } finally {
    await Promise.all(nodes.map(({ host }) => host.stop()))
  }
}

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const signal = (): AbortSignal => AbortSignal.timeout(60_000)
const portOf = (address: string): number => Number(/tcp\/(\d+)/.exec(address)?.[1])
const reach = ({ transport }: Node, address: string): Promise<Connection> =>
  transport.dial(multiaddr(address), { signal: signal() })

test.each<[Way, string, string | null]>([
  ['tls', 'tcp', 'X25519MLKEM768'],
  ['noise', 'tcp', 'X25519'],
  ['websocket', 'websocket', 'X25519MLKEM768'],
])('one port takes %s', async (way, kind, keyExchange) => {
  await withNodes([{ listen: LOOPBACK }, { ways: [way] }], async (server, dialler) => {
    const connection = await reach(dialler, server.address)
    expect(connection.remotePeer.toString()).toBe(server.host.peerId.toString())
    expect(dialler.transport.upgrader.describe(connection)).toEqual({ kind, keyExchange })
    await expect.poll(() => server.host.getConnections().length).toBe(1)
  })
})

test('an address with tls/ws is a web server outside, and the same connection inside', async () => {
  await withNodes([{ listen: `${LOOPBACK}/tls/ws` }, {}], async (server, dialler) => {
    expect(server.address).toContain('/tls/ws/')
    const connection = await reach(dialler, server.address)
    expect(dialler.transport.upgrader.describe(connection).kind).toBe('websocket')
    const outer = connectTls({ port: portOf(server.address), host: '127.0.0.1', rejectUnauthorized: false })
    await once(outer, 'secureConnect')
    expect(JSON.stringify(outer.getPeerCertificate().subject)).not.toContain(server.host.peerId.toString())
    outer.destroy()
  })
})

test('a talk that is refused is not tried again another way', async () => {
  let talks = 0
  const talk = (): Promise<void> => {
    talks += 1
    return Promise.reject(netErrors.peer_refused('no'))
  }
  await withNodes([{ listen: LOOPBACK }, { talk }], async (server, dialler) => {
    await expect(reach(dialler, server.address)).rejects.toThrow('peer_refused: no')
    expect(talks).toBe(1)
  })
})

test('a closed port is tried once', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await new Promise((resolve) => taken.close(resolve))
  await withNodes([{}], async (dialler) => {
    await expect(reach(dialler, `/ip4/127.0.0.1/tcp/${port}`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

test.each([
  ['TLS', [0x16], ['tls', 'noise'], 'noise'],
  ['TLS and multistream', [0x16, 0x13], ['tls', 'noise', 'websocket'], 'websocket'],
])('behind a filter that cuts %s the next way gets through', async (_name, cut, seen, last) => {
  await withNodes([{ listen: LOOPBACK }, {}], async (server, dialler) => {
    const kinds: string[] = []
    const sockets: Socket[] = []
    const filter = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined))
      socket.once('data', (first) => {
        const kind = { 22: 'tls', 19: 'noise' }[first[0] as number] ?? 'websocket'
        kinds.push(kind)
        if (cut.includes(first[0] as number)) return socket.destroy()
        const onward = connect(portOf(server.address), '127.0.0.1').on('error', () => undefined)
        sockets.push(onward)
        onward.write(first)
        return socket.pipe(onward).pipe(socket)
      })
    }).listen(0, '127.0.0.1')
    await once(filter, 'listening')
    try {
      const { port } = filter.address() as { port: number }
      const connection = await reach(dialler, `/ip4/127.0.0.1/tcp/${port}/p2p/${server.host.peerId}`)
      expect(connection.status).toBe('open')
      expect(kinds).toEqual(seen)
      expect(kinds.at(-1)).toBe(last)
    } finally {
      for (const socket of sockets) socket.destroy()
      filter.close()
    }
  })
})

test('another node at the address is refused by its id over each way', async () => {
  for (const way of ['tls', 'noise', 'websocket'] as const) {
    await withNodes([{ listen: LOOPBACK }, { listen: LOOPBACK }, { ways: [way] }], async (a, b, dialler) => {
      const wrong = a.address.replace(a.host.peerId.toString(), b.host.peerId.toString())
      await expect(reach(dialler, wrong)).rejects.toThrow('peer_id_mismatch')
      expect(a.host.getConnections()).toEqual([])
    })
  }
})

test('the health page answers where there is one, and nothing else does', async () => {
  const health: Doors['health'] = (_request, response) => void response.end('well')
  for (const [doors, status] of [
    [{ health }, 200],
    [{}, 404],
  ] as const) {
    await withNodes([{ listen: LOOPBACK, doors }], async ({ address }) => {
      const url = `http://127.0.0.1:${portOf(address)}`
      expect((await fetch(`${url}/healthz`)).status).toBe(status)
      expect((await fetch(`${url}/`)).status).toBe(404)
    })
  }
})

test('a connection that begins like STUN goes to its door with all its bytes, and ends where there is none', async () => {
  const came = Promise.withResolvers<Buffer>()
  const stun = (socket: Socket): void => void socket.once('data', (bytes) => came.resolve(bytes))
  const message = Buffer.from('000100002112a442', 'hex')
  await withNodes([{ listen: LOOPBACK, doors: { stun } }, { listen: LOOPBACK }], async (open, shut) => {
    const socket = connect(portOf(open.address), '127.0.0.1').on('error', () => undefined)
    socket.write(message)
    expect(await came.promise).toEqual(message)
    socket.destroy()
    const other = connect(portOf(shut.address), '127.0.0.1').on('error', () => undefined)
    other.write(message)
    await once(other, 'close')
  })
})

test.each([0x02, 0x12, 0x15, 0x17, 0x50, 0xff])(
  'a first byte of %i is answered with the end of the connection',
  async (byte) => {
    await withNodes([{ listen: LOOPBACK }], async ({ address }) => {
      const socket = connect(portOf(address), '127.0.0.1').on('error', () => undefined)
      const heard: Buffer[] = []
      socket.on('data', (bytes) => heard.push(bytes)).write(Buffer.of(byte, 1, 2, 3))
      await once(socket, 'close')
      expect(heard).toEqual([])
    })
  },
)

test('one source has so many connections on their way whatever they begin with, and the rest are closed', async () => {
  await withNodes([{ listen: LOOPBACK }], async ({ address }) => {
    const first = [Buffer.alloc(0), Buffer.of(0x16), Buffer.of(0x13), Buffer.from('GET / HTTP/1.1\r\n')]
    const sockets = Array.from({ length: MAX_PENDING_PER_SOURCE + 20 }, (_, index) => {
      const socket = connect(portOf(address), '127.0.0.1').on('error', () => undefined)
      socket.resume().write(first[index % first.length] as Buffer)
      return socket
    })
    try {
      await expect.poll(() => sockets.filter((socket) => socket.closed).length).toBe(20)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
})

test('who says nothing, or stays amid a request, is closed within the time of a handshake', async () => {
  await withNodes([{ listen: LOOPBACK }], async ({ address }) => {
    const words = ['', '\x16\x03', 'GET / HTTP/1.1\r\nHost:']
    await Promise.all(
      words.map(async (text) => {
        const socket = connect(portOf(address), '127.0.0.1').on('error', () => undefined)
        socket.resume().write(text)
        await once(socket, 'close')
      }),
    )
  })
})

test('a web server at the address is told from a node', async () => {
  const web = createHttp((_request, response) => void response.end('hello')).listen(0, '127.0.0.1')
  await once(web, 'listening')
  try {
    await withNodes([{}], async (dialler) => {
      const { port } = web.address() as { port: number }
      await expect(reach(dialler, `/ip4/127.0.0.1/tcp/${port}`)).rejects.toThrow(/TLS.*Noise.*WebSocket/s)
    })
  } finally {
    web.closeAllConnections()
    web.close()
  }
})

test('a host that stops leaves no socket open, also of those on their way', async () => {
  const { host, address } = await node({ listen: LOOPBACK })
  const socket = connect(portOf(address), '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  const closed = once(socket.resume(), 'close')
  await host.stop()
  await closed
})
