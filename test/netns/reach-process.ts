/**
 * A node that checks whether it is reachable, as a process in a network namespace:
 *
 *     reach-process.ts NAME PEER=HOST,PEER=HOST
 *
 * It is connected with these peers by plain TCP, which stands for the connections of libp2p, and helps those that
 * connect to it. Prints "ready"; at each line of input it checks, and prints what it found as JSON.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src/base/clock.ts'
import { Counters } from '../../src/base/counters.ts'
import { silentLogger } from '../../src/base/log.ts'
import { createReachability } from '../../src/net/reachability/index.ts'
import type { ConnectionInfo, Stream } from '../../src/net/types.ts'

/** Where connections of peers come in, and the port that is tried. */
const [PEERS, LISTENER] = [7000, 9010]
const [name = '', list = ''] = process.argv.slice(2)
const hosts = new Map(list === '' ? [] : list.split(',').map((text) => text.split('=') as [string, string]))
const common = { clock: systemClock, log: silentLogger, counters: new Counters() }
const known: ConnectionInfo[] = []
let serve: ((stream: Stream) => void | Promise<void>) | undefined

function know(peer: string, socket: Socket, direction: 'inbound' | 'outbound'): void {
  const address = `/ip4/${socket.remoteAddress?.replace('::ffff:', '')}/tcp/${socket.remotePort}`
  const facts = { relayed: false, since: 0, latencyMs: 1, agent: null, encryption: 'TLS 1.3' }
  known.push({ peer, address, direction, ...facts } as ConnectionInfo)
}

/** The first line of each connection is the name of who makes it, and whether it is a stream. */
async function dial(peer: string, kind: 'hold' | 'stream'): Promise<Socket> {
  const socket = connect(PEERS, hosts.get(peer) as string)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(`${name} ${kind}\n`.padEnd(32, '\n'))
  return socket
}

createServer({ allowHalfOpen: true }, async (socket) => {
  socket.on('error', () => undefined)
  await once(socket, 'readable')
  const [peer = '', kind] = (socket.read(32) as Buffer).toString().trim().split(' ')
  if (kind === 'hold') know(peer, socket, 'inbound')
  else await Promise.resolve(serve?.(Object.assign(socket, { peer, protocol: 'reach' }))).catch(() => socket.destroy())
}).listen(PEERS)

const reachability = createReachability({
  handle: (_protocol, handler) => {
    serve = handler
    return () => undefined
  },
  opener: {
    openOn: async (peer) => Object.assign(await dial(peer, 'stream'), { peer, protocol: 'reach' }),
  },
  connections: () => known,
  ports: () => [LISTENER],
  ...common,
})
createServer((socket) => reachability.answerTcp(socket)).listen(LISTENER)
reachability.start()
for (const peer of hosts.keys()) know(peer, await dial(peer, 'hold'), 'outbound')
process.stdout.write('"ready"\n')
createInterface({ input: process.stdin }).on('line', async () => {
  const reach = await reachability.check()
  const told = { reach, reason: reachability.reason(), confirmed: reachability.confirmed() }
  process.stdout.write(`${JSON.stringify(told)}\n`)
})
