/** One end of the stream bench, in a process of its own: `stream-node.ts ROLE WAY`, told what to do over its IPC channel. */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, createServer } from 'node:tls'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { generateCertificate } from '@libp2p/tls/utils'
import { testNetwork } from '../src/net/fixtures/networks.ts'
import type { Network } from '../src/net/index.ts'

/** How the stream is made: plain node:tls, or a network over one of its ways. */
export type Way = 'node-tls' | 'tls' | 'noise' | 'websocket'

/** What the parent says. */
export type Order =
  | { readonly do: 'read'; readonly bytes: number }
  | { readonly do: 'sleep'; readonly bytes: number; readonly forMs: number }
  | { readonly do: 'hoard'; readonly bytes: number; readonly forMs: number }
  | { readonly do: 'echo'; readonly rounds: number }
  | { readonly do: 'rss' }
  | { readonly do: 'stop' }

const WRITE_BYTES = 256 * 1024
const ECHO_BYTES = 64
/** Names the stream's job on node:tls, where there are no protocols: `flood BYTES` or `echo`. */
const HEAD_BYTES = 16

/** Writes as many bytes as fast as the other side takes them. */
function flood(stream: Duplex, bytes: number): void {
  const chunk = randomBytes(WRITE_BYTES)
  let left = bytes
  const more = (): void => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= part.length
      if (!stream.write(part) && left > 0) return void stream.once('drain', more)
    }
    stream.end()
  }
  stream.on('error', () => undefined)
  more()
}

function serve(stream: Duplex): void {
  stream.on('error', () => undefined)
  stream.once('readable', () => {
    const bytes = Number(stream.read(HEAD_BYTES).toString())
    if (bytes > 0) flood(stream, bytes)
    else stream.pipe(stream)
  })
}

interface End {
  /** A stream on which the server sends so many bytes; 0 for an echo. */
  open(bytes: number): Promise<Duplex>
  stop(): Promise<void>
}

async function listen(way: Way): Promise<void> {
  if (way === 'node-tls') {
    const certificate = await generateCertificate(await generateKeyPair('Ed25519'))
    const server = createServer({ ...certificate, minVersion: 'TLSv1.3', noDelay: true }, serve)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    process.once('disconnect', () => server.close())
    say({ address: String((server.address() as AddressInfo).port), peer: '' })
    return
  }
  const network = testNetwork()
  network.handle('/bench/stream/1', serve)
  await network.start()
  process.once('disconnect', () => void network.stop())
  say({ address: network.addresses()[0], peer: network.id })
}

async function dial(way: Way, address: string): Promise<End> {
  if (way === 'node-tls') {
    const open = (): Promise<Duplex> =>
      new Promise((resolve) => {
        const socket = connect({ port: Number(address), host: '127.0.0.1', rejectUnauthorized: false }, () => {
          socket.setNoDelay(true)
          resolve(socket)
        })
      })
    return { open: async (bytes) => begin(await open(), bytes), stop: async () => undefined }
  }
  const network: Network = testNetwork({ listen: [], transports: [way] })
  await network.start()
  const peer = await network.connect(address)
  return {
    open: async (bytes) => begin(await network.open(peer, '/bench/stream/1'), bytes),
    stop: () => network.stop(),
  }
}

function begin(stream: Duplex, bytes: number): Duplex {
  stream.write(String(bytes).padEnd(HEAD_BYTES))
  return stream
}

/** Milliseconds until all is read. */
async function read(stream: Duplex, bytes: number): Promise<number> {
  const started = performance.now()
  let got = 0
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (part: Buffer) => {
      got += part.length
    })
    stream.once('end', resolve).once('error', reject)
  })
  if (got !== bytes) throw new Error(`${got} of ${bytes} bytes came`)
  const ms = performance.now() - started
  stream.destroy()
  return ms
}

/** Round trips in milliseconds, one after the other. */
async function echo(stream: Duplex, rounds: number): Promise<number[]> {
  const message = randomBytes(ECHO_BYTES)
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    stream.write(message)
    for (let got = 0; got < ECHO_BYTES; ) {
      got += await new Promise<number>((resolve) => stream.once('data', (part: Buffer) => resolve(part.length)))
    }
    times.push(performance.now() - started)
  }
  stream.destroy()
  return times
}

/** Keeps all that comes: what the memory of a stream without bounds would look like. */
async function hoard(stream: Duplex, forMs: number): Promise<void> {
  const kept: Buffer[] = []
  stream.on('data', (part: Buffer) => kept.push(part))
  await new Promise((resolve) => setTimeout(resolve, forMs))
  stream.destroy()
}

/** Reads a little, then nothing. */
async function sleep(stream: Duplex, forMs: number): Promise<void> {
  await new Promise<void>((resolve) => stream.once('data', () => resolve()))
  stream.pause()
  await new Promise((resolve) => setTimeout(resolve, forMs))
  stream.destroy()
}

function say(message: unknown): void {
  process.send?.(message)
}

async function obey(end: End | undefined, order: Order): Promise<void> {
  if (order.do === 'rss') say({ rss: process.memoryUsage.rss() })
  else if (order.do === 'stop') {
    await end?.stop()
    process.disconnect()
  } else if (end !== undefined) {
    if (order.do === 'read') say({ ms: await read(await end.open(order.bytes), order.bytes) })
    else if (order.do === 'echo') say({ times: await echo(await end.open(0), order.rounds) })
    else {
      const stream = await end.open(order.bytes)
      say({ begun: true })
      await (order.do === 'sleep' ? sleep : hoard)(stream, order.forMs)
    }
  }
}

const [role, way, address = ''] = process.argv.slice(2) as ['listen' | 'dial', Way, string | undefined]
let end: End | undefined
if (role === 'listen') await listen(way)
else {
  end = await dial(way, address)
  say({ ready: true })
}
process.on('message', (order: Order) => void obey(end, order))
process.once('disconnect', () => setTimeout(() => process.exit(0), 2_000).unref())
