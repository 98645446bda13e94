import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below those that the system gives to whoever connects, which may be in use again by the time that they are listened on. */
const PORTS = { from: 20_000, to: 32_000 } as const

/** Ports of loopback that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(PORTS.from, PORTS.to)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
