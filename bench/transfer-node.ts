/** One end of the transfer benches, in a process of its own: `transfer-node.ts ROLE`, told what to do over its IPC channel. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { addPackage, makePackage, noise, startNode, temporaryFolder } from '../src/transfer/fixtures/nodes.ts'

/** What the parent says. */
export type Order =
  | { readonly do: 'fetch'; readonly digest: string; readonly peer: string; readonly addresses: string[] }
  | { readonly do: 'tls'; readonly port: number; readonly bytes: number }
  | { readonly do: 'report' }
  | { readonly do: 'stop' }

const PSK = { psk: Buffer.alloc(32, 9), identity: 'bench' }
const CIPHERS = 'PSK-AES128-GCM-SHA256'
const WRITE_BYTES = 256 * 1024

const bytes = Number(process.argv[3])
const started = { ms: 0, cpu: process.cpuUsage() }

async function source(): Promise<() => Promise<void>> {
  const folder = await temporaryFolder()
  const node = await startNode()
  const digest = await addPackage(
    node.transfer,
    await makePackage(folder, '1.0.0', { 'data.bin': noise('bench', bytes) }),
  )
  await rm(folder, { recursive: true, force: true })
  const server = createServer({ pskCallback: () => PSK.psk, ciphers: CIPHERS, maxVersion: 'TLSv1.2' }, flood)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  say({ digest, peer: node.id, addresses: node.network.addresses(), port: (server.address() as AddressInfo).port })
  return async () => {
    server.close()
    await node.stop()
  }
}

/** Writes as many bytes as fast as the other side reads. */
function flood(socket: TLSSocket): void {
  const chunk = randomBytes(WRITE_BYTES)
  let left = bytes
  const more = (): void => {
    while (left > 0) {
      left -= chunk.length
      if (!socket.write(chunk) && left > 0) return void socket.once('drain', more)
    }
    socket.end()
  }
  socket.on('error', () => undefined)
  more()
}

async function target(): Promise<() => Promise<void>> {
  const node = await startNode()
  process.on('message', async (order: Order) => {
    if (order.do === 'fetch') {
      await node.network.addAddress(order.peer, order.addresses)
      await node.network.connect(order.peer)
      begin()
      await node.transfer.fetch(order.digest, { sources: [order.peer] })
      end()
    } else if (order.do === 'tls') {
      const options = { port: order.port, host: '127.0.0.1', ciphers: CIPHERS, maxVersion: 'TLSv1.2' as const }
      const socket: Socket = connect({ ...options, pskCallback: () => PSK, checkServerIdentity: () => undefined })
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      begin()
      let read = 0
      for await (const part of socket) read += part.length
      if (read < order.bytes) throw new Error(`${read} bytes came of ${order.bytes}`)
      end()
    }
  })
  say({})
  return () => node.stop()
}

function begin(): void {
  started.ms = performance.now()
  started.cpu = process.cpuUsage()
}

function end(): void {
  say({ ms: performance.now() - started.ms })
}

function say(message: object): void {
  process.send?.(message)
}

const stop = process.argv[2] === 'source' ? await source() : await target()
process.on('message', async (order: Order) => {
  if (order.do === 'report') {
    const { user, system } = process.cpuUsage()
    say({ cpuMs: (user + system) / 1000, peakBytes: process.resourceUsage().maxRSS * 1024 })
  }
  if (order.do === 'stop') {
    await stop()
    process.disconnect()
  }
})
