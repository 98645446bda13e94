import { createServer } from 'node:net'
import { baseErrors, WarrenError } from '../base/errors.ts'
import { netErrors } from './errors.ts'

/** What a failed start means, in Warren's codes; libp2p says it in a text with a paragraph an address. */
export function listenError(thrown: unknown): unknown {
  if (thrown instanceof WarrenError) return thrown
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  const inUse = addressesWith(text, /EADDRINUSE/)
  if (inUse !== undefined) {
    return portInUse(inUse, thrown)
  }
  const refused = addressesWith(text, /EADDRNOTAVAIL|EACCES|EAFNOSUPPORT|not supported/i)
  if (refused === undefined) return thrown
  return netErrors.listen_failed(`this machine cannot listen on ${refused}`, {
    hint: 'Check net.listen in config.yaml: the address must be one of this machine, ports below 1024 need root.',
    cause: thrown,
  })
}

/**
 * Fails with `port_in_use` where another program has the port of an IPv6 address. libp2p takes every failure of IPv6
 * for a machine without it, as long as IPv4 works, and would leave the node half reachable.
 */
export async function checkIpv6Ports(listen: readonly string[]): Promise<void> {
  for (const address of listen) {
    const [, host, port] = /^\/ip6\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? []
    if (host === undefined || port === '0') continue
    const code = await tryToListen(host, Number(port))
    if (code === 'EADDRINUSE') throw portInUse(address, code)
  }
}

/** Listens for a moment: the code of the error, undefined where it works. */
export function tryToListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, ipv6Only: true }, () => server.close(() => resolve(undefined)))
  })
}

function portInUse(address: string, cause: unknown): WarrenError {
  return baseErrors.port_in_use(`another program listens on ${address}`, {
    hint: 'Stop it, or choose another port with net.listen in config.yaml or --listen.',
    cause,
  })
}

function addressesWith(text: string, fault: RegExp): string | undefined {
  const paragraphs = text.split(/\n(?= {2}\/)/).filter((paragraph) => fault.test(paragraph))
  const addresses = paragraphs.map((paragraph) => /^ {2}(\/\S+):/.exec(paragraph)?.[1]).filter(Boolean)
  return addresses.length === 0 ? undefined : addresses.join(', ')
}
