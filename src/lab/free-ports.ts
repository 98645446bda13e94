import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { baseErrors } from '../base/errors.ts'

/**
 * Below those that the system gives to whoever connects: a port from among these may be in use again by the time that a
 * daemon listens on it.
 */
const PORTS = { from: 20_000, to: 32_000 } as const

/** Ports of loopback that were free a moment ago, all different. Fails with `port_in_use` where none are left. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    const port = randomInt(PORTS.from, PORTS.to)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
    else if (tries > PORTS.to - PORTS.from)
      throw baseErrors.port_in_use(`no free port from ${PORTS.from} to ${PORTS.to}`)
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
