/**
 * A host that does what it is told by lines of JSON on its input, and tells what happened by lines of JSON:
 * what a NAT does to raw UDP and TCP is seen with nothing of the program in between.
 */
import dgram from 'node:dgram'
import net from 'node:net'
import { createInterface } from 'node:readline'

type Order =
  | { do: 'udp'; port: number }
  | { do: 'send'; port: number; to: [string, number]; text: string }
  | { do: 'listen'; port: number }
  | { do: 'dial'; port: number; to: [string, number]; timeoutMs: number }
  | { do: 'call'; id: number; to: [string, number]; timeoutMs: number }

const TALK_MS = 100
const sockets = new Map<number, dgram.Socket>()

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order
  if (order.do === 'udp') openUdp(order.port)
  else if (order.do === 'send') sockets.get(order.port)?.send(order.text, order.to[1], order.to[0])
  else if (order.do === 'listen') listen(order.port)
  else if (order.do === 'dial') dial(order)
  else call(order)
})

function openUdp(port: number): void {
  const socket = dgram.createSocket('udp4')
  sockets.set(port, socket)
  socket.on('message', (data, from) => say({ got: data.toString(), port, from: `${from.address}:${from.port}` }))
  socket.bind(port, () => say({ ready: 'udp', port }))
}

function listen(port: number): void {
  net
    .createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(`${socket.remoteAddress}:${socket.remotePort}`)
    })
    .listen(port, '0.0.0.0', () => say({ ready: 'tcp', port }))
}

/** Dials as long as it takes within the time; two hosts that dial each other at the same moment meet half way (RFC 9293, 3.5). */
function dial({ port, to, timeoutMs }: Order & { do: 'dial' }): void {
  const dialled = to.join(':')
  const socket = net.connect({ localPort: port, host: to[0], port: to[1] })
  let text = ''
  let connected = false
  const timer = setTimeout(() => socket.destroy(new Error('nobody answered')), timeoutMs)
  socket.on('data', (data) => {
    text += data.toString()
  })
  socket.on('connect', () => {
    connected = true
    clearTimeout(timer)
    // A server ends what it has told; of two that dialled each other one must be the first to end.
    setTimeout(() => socket.end(), TALK_MS)
  })
  socket.on('error', (error) => {
    if (!connected) say({ dialled, port, result: 'failed', why: error.message })
  })
  socket.on('end', () => say({ dialled, port, result: 'connected', seenAs: text }))
}

/** A connection from any port to a server that speaks first. */
function call({ id, to, timeoutMs }: Order & { do: 'call' }): void {
  const socket = net.connect({ host: to[0], port: to[1] })
  let answered = 0
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  socket.on('data', () => {
    answered = 1
    socket.end()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    clearTimeout(timer)
    say({ called: id, answered })
  })
}
