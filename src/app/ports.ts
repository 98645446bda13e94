import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { baseErrors } from '../base/errors.ts'

/** Below the range from which Linux takes ports for outgoing connections (32768), so that none of them is in the way later. */
const AUTO_PORTS = { from: 20_000, to: 32_768 }
/** So many random ports that are all taken mean that something is wrong with the machine. */
const MAX_TRIES = 200

export interface PortRequest {
  readonly instance: string
  /** As in the manifest. */
  readonly wanted: Readonly<Record<string, number | 'auto'>>
  /** What this instance had before. */
  readonly kept: Readonly<Record<string, number>>
  /** What other instances of this node have, running or not, with their names. */
  readonly others: ReadonlyMap<number, string>
}

/**
 * Numbers for all ports of an instance that is not running: fixed ones must be free, automatic ones stay what they were
 * while they are free. Fails with `port_in_use`.
 */
export async function choosePorts(request: PortRequest): Promise<Record<string, number>> {
  const { wanted, kept, instance } = request
  const fixed = Object.values(wanted).filter((port) => port !== 'auto')
  for (const port of fixed) await requireFree(port, request)
  const chosen: Record<string, number> = {}
  const taken = new Set([...request.others.keys(), ...fixed])
  for (const [name, port] of Object.entries(wanted)) {
    const before = kept[name]
    if (port !== 'auto') chosen[name] = port
    else if (before !== undefined && !taken.has(before) && (await isPortFree(before))) chosen[name] = before
    else chosen[name] = await pickFree(taken, `${instance}, port ${name}`)
    taken.add(chosen[name] as number)
  }
  return chosen
}

/** Fails with `port_in_use` where a fixed port is taken, by another instance or another program. */
export async function requireFree(
  port: number,
  { instance, others }: Pick<PortRequest, 'instance' | 'others'>,
): Promise<void> {
  const other = others.get(port)
  if (other !== undefined && other !== instance && !(await isPortFree(port))) {
    throw baseErrors.port_in_use(`port ${port}, which ${instance} needs, is used by the app ${other}`, {
      hint: `Use ports: {NAME: auto} in the manifest, or stop it: warren app stop ${other}`,
      details: { port },
    })
  }
  if (await isPortFree(port)) return
  throw baseErrors.port_in_use(`port ${port}, which ${instance} needs, is used by another program`, {
    hint: `Find it with: ss -ltnp 'sport = :${port}'   or use ports: {NAME: auto} in the manifest`,
    details: { port },
  })
}

/** True where a program could listen on that TCP port, on all addresses. A port that only root may use counts as free. */
export async function isPortFree(port: number): Promise<boolean> {
  const results = await Promise.all([tryListen(port, '0.0.0.0'), tryListen(port, '::')])
  return !results.includes('EADDRINUSE')
}

async function pickFree(taken: ReadonlySet<number>, what: string): Promise<number> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const port = randomInt(AUTO_PORTS.from, AUTO_PORTS.to)
    if (!taken.has(port) && (await isPortFree(port))) return port
  }
  throw baseErrors.port_in_use(`no free port was found for ${what} between ${AUTO_PORTS.from} and ${AUTO_PORTS.to}`)
}

function tryListen(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    server.listen({ port, host, ipv6Only: host === '::', exclusive: true }, () =>
      server.close(() => resolve(undefined)),
    )
  })
}
