import { isIP } from 'node:net'
import { baseErrors } from '../base/errors.ts'

/** Both kinds of loopback: `localhost` may be either. */
const LOOPBACK = ['127.0.0.1', '::1']
/** A free port on the first address may be taken on the second; so many others are tried. */
const FREE_PORT_TRIES = 16

/** Something that listens at one address. */
export interface Bound {
  readonly port: number
  close(): Promise<void>
}

export interface BindOptions {
  /** IP addresses. Default: loopback, of IPv6 only where this machine has it. */
  readonly addresses?: readonly string[] | undefined
  /** 0: any. */
  readonly port?: number | undefined
  /** Taken where `port` is absent and nobody else has it. */
  readonly preferred?: number | undefined
  /** Listens at one address and port; rejects as the system does. */
  readonly bind: (address: string, port: number) => Promise<Bound>
}

/** Something that listens at the same port of each of its addresses. */
export interface LocalPorts {
  readonly addresses: readonly string[]
  readonly port: number
  close(): Promise<void>
}

/**
 * Listens at one port of all the addresses. Fails with `port_in_use`, `permission_denied`, and `invalid_value` for an
 * address that is none of this machine; nothing listens then.
 */
export async function bindPorts(options: BindOptions): Promise<LocalPorts> {
  const { addresses = LOOPBACK, port, preferred } = options
  for (const address of addresses) {
    if (isIP(address) !== 0) continue
    throw baseErrors.invalid_value(`"${address}" is no IP address`, { hint: 'Such as --bind 127.0.0.1, or --bind ::1' })
  }
  if (port !== undefined && port > 0) return await bindAt(options, port).catch(explain)
  if (port === undefined && preferred !== undefined) {
    const bound = await bindAt(options, preferred).catch(orUndefined)
    if (bound !== undefined) return bound
  }
  for (let tries = 1; ; tries++) {
    const bound = await bindAt(options, 0).catch(tries < FREE_PORT_TRIES ? orUndefined : explain)
    if (bound !== undefined) return bound
  }
}

async function bindAt({ addresses, bind }: BindOptions, wanted: number): Promise<LocalPorts> {
  const listening: { address: string; bound: Bound }[] = []
  const close = async (): Promise<void> => {
    await Promise.all(listening.map(({ bound }) => bound.close()))
  }
  try {
    for (const address of addresses ?? LOOPBACK) {
      const port = listening[0]?.bound.port ?? wanted
      try {
        listening.push({ address, bound: await bind(address, port) })
      } catch (error) {
        const lacking = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((error as NodeJS.ErrnoException).code ?? '')
        if (addresses !== undefined || address === LOOPBACK[0] || !lacking) throw error
      }
    }
    const port = (listening[0] as { bound: Bound }).bound.port
    return { addresses: listening.map(({ address }) => address), port, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** A port that another has, or that only root may take, is passed over. */
function orUndefined(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'EADDRINUSE' || error.code === 'EACCES') return undefined
  return explain(error)
}

function explain(cause: NodeJS.ErrnoException & { address?: string; port?: number }): never {
  const { address = 'the address', port = '?' } = cause
  const at = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  if (cause.code === 'EADDRINUSE') {
    throw baseErrors.port_in_use(`${at} is taken by another program`, {
      cause,
      hint: 'Name another port, or 0 for any.',
    })
  }
  if (cause.code === 'EACCES') {
    throw baseErrors.permission_denied(`${at} may not be used by this user`, {
      cause,
      hint: 'Name a port above 1023, or 0 for any.',
    })
  }
  if (cause.code === 'EADDRNOTAVAIL' || cause.code === 'EAFNOSUPPORT') {
    throw baseErrors.invalid_value(`${cause.address} is no address of this machine`, { cause, hint: 'See: ip address' })
  }
  throw cause
}
